"""The application's own step of a sign-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, NoReturn

from doorward.accounts.model import Account
from doorward.errors import Problem

Fields = Mapping[str, str | int | bool | None]
"""What an application asks for beside e-mail address, password and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """An account that is being opened.

    Args:
        account: as it is stored unless the hook refuses.
        fields: the application's own; they come from outside, and nobody has checked them.
        connection: a SQLAlchemy ``Connection`` inside the transaction that stores the account, or None for the store
            ``memory:``.  The hook must not commit.
    """

    account: Account
    fields: Fields = field(repr=False)
    connection: Any = None


SignUpHook = Callable[[SignUp], object]
"""Called in the transaction of the account; may refuse by raising ``ValidationFailed`` or ``NotPermitted``."""

_ENDINGS = ("commit", "rollback", "close", "invalidate", "detach")

SignUpStep = Callable[[Any], object]
"""A hook that knows all but the connection, as a store calls it."""


def problems_of_hook(hook: SignUpHook | None) -> list[Problem]:
    """What makes a hook unusable."""
    if hook is None or not iscoroutinefunction(hook):
        return []
    remedy = "Give a plain function; it writes with the connection that it is given, which works under asyncio too."
    return [Problem(id="DW006", message="on_sign_up is no synchronous function.", remedy=remedy)]


class HookFailed(Exception):
    """Carries what a hook raised out of a store's transaction: it is not the store's error.

    Args:
        error: what was raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


def run_step(step: SignUpStep, connection: Any) -> None:
    """Call a hook inside a transaction.  Raises HookFailed."""
    # On the object itself: what hands it out goes on using the class's.
    own = vars(connection) if connection is not None else {}
    own.update(dict.fromkeys(_ENDINGS, _refuse_to_end))
    try:
        step(connection)
    except Exception as error:
        raise HookFailed(error) from error
    finally:
        for name in _ENDINGS:
            own.pop(name, None)


def _refuse_to_end(*_: object, **__: object) -> NoReturn:
    # It would commit half of a sign-up, and with it whatever else shares the transaction.
    raise RuntimeError("on_sign_up must not end the transaction that it runs in")
