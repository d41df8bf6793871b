"""What receivers are told.

Sent by the process that did it, once it is done.  Sessions end for other reasons and in other processes too: all of
that is in the audit trail (``doorward sessions``), and no signal claims to tell it.
"""

from __future__ import annotations

from django.dispatch import Signal

signed_in = Signal()
"""Somebody has signed in, by ``django.contrib.auth.login`` or by ``POST /v1/sessions``.

Arguments: ``request``, ``account`` and ``session``, the ids.
"""

signed_out = Signal()
"""Somebody has signed out, by ``django.contrib.auth.logout`` or by ``DELETE /v1/sessions/current``.

Arguments: ``request``, and ``session``, the id.
"""
