from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from doorward.audit.model import Actor
from doorward.errors import Refusal
from doorward.secret import Secret
from doorward.web.django.conf import run
from doorward.web.django.decorators import requires
from doorward.web.django.messages import request_of


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")


def sign_up(request: HttpRequest) -> HttpResponse:
    refused = None
    if request.method == "POST":
        email, password = request.POST["email"], request.POST["password"]
        actor = Actor(origin=request_of(request).origin)
        try:
            run(lambda doorward: doorward.sign_up(email=email, password=Secret(password), actor=actor))
        except Refusal as refusal:
            refused = refusal
        else:
            login(request, authenticate(request, username=email, password=password))
            return redirect("mine")
    return render(request, "sign_up.html", {"refused": refused}, status=422 if refused else 200)


@login_required
def mine(request: HttpRequest) -> HttpResponse:
    sessions = run(lambda doorward: doorward.sessions(request.principal.subject))
    return render(request, "mine.html", {"sessions": sessions, "current": request.principal.session_id})


@require_POST
@login_required
def sign_out_elsewhere(request: HttpRequest) -> HttpResponse:
    principal = request.principal
    actor = Actor(name=principal.subject, origin=request_of(request).origin)
    run(lambda doorward: doorward.end_sessions(principal.subject, keep=principal.session_id, actor=actor))
    return redirect("mine")


@requires()
def me(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"account": request.principal.subject, "session": request.principal.session_id})


@requires(roles={"analyst"})
def reports(request: HttpRequest) -> HttpResponse:
    return JsonResponse(["for analysts only"], safe=False)


@requires()
async def asynchronous(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return JsonResponse({"email": user.email})
