"""Refusals that Flask and its extensions answer as their own exceptions.

Extensions such as Flask-RESTful have error handlers of their own: in production they answer 500 to an exception that is
no ``HTTPException``, and pass on the response of one that brings it.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from doorward.errors import DoorwardError

Answer = Callable[[DoorwardError], Response]


def answered(error: DoorwardError, answer: Answer) -> Exception:
    """What a guard of a view raises in place of an error.

    That is an ``HTTPException`` that brings its response; or the error itself, where the application or a blueprint has
    a handler of its own for it.

    Args:
        error: why the view may not be called.
        answer: makes the response; it is also our own error handler.
    """
    if _has_own_handler(error, answer):
        return error
    # Without a code: Flask passes its response on, whatever handlers there are for codes.
    return HTTPException(error.public, response=answer(error))


def _has_own_handler(error: DoorwardError, ours: Answer) -> bool:
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, DoorwardError)]
    handlers = (current_app.error_handler_spec[name][None] for name in (*request.blueprints, None))
    return any(each.get(kind, ours) is not ours for each in handlers for kind in kinds)
