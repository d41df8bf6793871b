"""The app for ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class DoorwardConfig(AppConfig):
    """Doorward."""

    name = "doorward.web.django"
    label = "doorward"
    verbose_name = "Doorward"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in, user_logged_out

        from doorward.web.django import caller, checks, conf, linking, signing_in, standing, tables

        caller.install()
        linking.connect()
        connection_created.connect(standing.watch_connection, dispatch_uid="doorward")
        for connection in connections.all(initialized_only=True):
            standing.watch_connection(connection=connection)
        register(checks.check_settings)
        register(checks.check_database)
        register(checks.check_middleware)
        register(checks.check_backends)
        register(checks.check_users)
        setting_changed.connect(conf.forget, dispatch_uid="doorward")
        post_migrate.connect(tables.migrate, sender=self, dispatch_uid="doorward")
        user_logged_in.connect(signing_in.start_session, dispatch_uid="doorward")
        user_logged_out.connect(signing_in.end_session, dispatch_uid="doorward")
