"""One signed-in session of Django's, as it puts it into a database or a cache; its keys are random.

``python django_at_rest.py POSTGRES_ADDRESS REDIS_ADDRESS`` makes the tables of the first and writes into both.
"""

import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.test import RequestFactory

postgres, redis = sys.argv[1:]
settings.configure(
    SECRET_KEY="a key for benchmarks alone, of no use to anybody",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": postgres.rpartition("/")[2],
            "USER": "doorward",
            "HOST": "127.0.0.1",
            "PORT": postgres.rpartition(":")[2].partition("/")[0],
        }
    },
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth import login  # noqa: E402 -- once Django is set up
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends import cache, db  # noqa: E402

user = User.objects.create_user("ada", "ada@example.com", "seven green kettles")
for store in (db.SessionStore(), cache.SessionStore()):
    request = RequestFactory().post("/")
    request.session = store
    login(request, user)
    store.save()
