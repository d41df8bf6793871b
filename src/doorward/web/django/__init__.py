"""Doorward in a Django project; ``examples/django_monolith`` is one.

Put ``doorward.web.django`` into ``INSTALLED_APPS``, and see ``docs/guides/django.md``.  Nothing is imported here:
Django loads this before its models may be.
"""
