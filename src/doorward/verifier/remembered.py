"""Tokens that a verifier has verified, so that the same one need not be verified again."""

from __future__ import annotations

from typing import NamedTuple

from doorward.principal import Principal


class Remembered(NamedTuple):
    """A token that was verified.

    Args:
        since: when it was verified, in seconds since 1970; with a clock before that it is verified anew.
        until: its ``exp``; from then on it is verified anew, with the allowance for clocks that verifying makes.
        session, account, version, token, key: what a revocation may name.
        principal: who that is.
    """

    since: float
    until: float
    session: str
    account: str
    version: int
    token: str
    key: str
    principal: Principal
