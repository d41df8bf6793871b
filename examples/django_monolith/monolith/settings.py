import os
from pathlib import Path

BASE_DIR = Path(os.environ.get("MONOLITH_DATA", Path(__file__).parent.parent))

DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for development alone: every deployment has one of its own")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "monolith.urls"
WSGI_APPLICATION = "monolith.wsgi.application"
TIME_ZONE = "UTC"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "doorward.web.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "doorward.web.django.middleware.DoorwardMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
AUTHENTICATION_BACKENDS = ["doorward.web.django.backends.DoorwardBackend"]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "mine"
LOGOUT_REDIRECT_URL = "sign_in"

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DOORWARD = {
    "DATABASE": f"sqlite:///{BASE_DIR / 'doorward.db'}",
    "STRATEGY": "session",
    "SUPERUSER_ROLE": "admin",
    "STAFF_ROLE": "admin",
    "INSECURE_FAST_HASHING": os.environ.get("MONOLITH_FAST_HASHING") == "1",  # for tests
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
