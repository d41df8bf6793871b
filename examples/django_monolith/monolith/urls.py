from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from monolith import views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-up/", views.sign_up, name="sign_up"),
    path("sign-in/", LoginView.as_view(template_name="sign_in.html"), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    path("mine/", views.mine, name="mine"),
    path("mine/elsewhere/", views.sign_out_elsewhere, name="elsewhere"),
    path("me", views.me),
    path("reports", views.reports),
    path("asynchronous", views.asynchronous),
    path("admin/", admin.site.urls),
    path("auth/", include("doorward.web.django.urls")),
]
