"""What an e-mail address, a name, a label and roles may be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from doorward.errors import FieldError, ValidationFailed

LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, without the angle brackets."""

LONGEST_LINE = 100
"""Characters of a name or a label."""

MOST_ROLES = 32

_ROLE = re.compile(r"[a-z][a-z0-9:_-]{0,63}")

# Domains that no mail on the Internet goes to, and that developers and closed networks use.
_PRIVATE_DOMAINS = frozenset({"localhost", "local"})
_PRIVATE_STANDS_FOR = ".example"

# Line breaks that are no control characters, and what turns the direction of the text around it (a listing would lie).
_MISLEADING = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """An e-mail address.

    Args:
        address: as its owner wrote it, normalised: what mail is sent to.
        key: what all its spellings have in common: what accounts are unique by.
    """

    address: str
    key: str


def parse_email(text: str) -> Email:
    """An e-mail address that could be somebody's.  Nothing is looked up.

    The key is the local part without regard to case and compatibility (NFKC, case-folded), and the domain as DNS knows
    it (IDNA, in ASCII).  It is coarser than mail itself: where ``Ada@`` and ``ada@`` are two people, one of them has an
    account.  So mail about an account goes to the address that the account has, never to one
    that was typed: the two may have a key in common and belong to two people.

    Addresses under ``.test``, ``.local`` and ``localhost`` are taken, for development and closed networks.

    Args:
        text: as it was typed; a space before or after it, which a keyboard or a copy adds, is removed.

    Raises:
        ValidationFailed: it is no address.

    RFC 5321, RFC 6531, RFC 6532 section 3.1; UTS #39 section 3.3 (NFKC of local parts); UTS #46.
    """
    from email_validator import EmailNotValidError

    try:
        return _checked(text.strip())
    except EmailNotValidError:
        _refuse("email", "This is not an e-mail address.")


def _checked(text: str) -> Email:
    from email_validator import EmailSyntaxError

    if len(text) > LONGEST_EMAIL:
        raise EmailSyntaxError("too long")
    local, domain, ascii_domain = _validated(text)
    folded = _fold(local)
    if not local.isascii():
        # What it folds to must be an address as well: a full-width @ would become another one's separator.
        _validated(f"{folded}@{ascii_domain}")
    return Email(address=f"{local}@{domain}", key=f"{folded}@{ascii_domain}")


def _validated(text: str) -> tuple[str, str, str]:
    """Local part, domain, and domain in ASCII."""
    from email_validator import validate_email

    private = text.rpartition("@")[2].lower().rpartition(".")[2] in _PRIVATE_DOMAINS
    # The library refuses these domains in any case, and whatever else it checks of them is the same one label deeper.
    suffix = _PRIVATE_STANDS_FOR if private else ""
    found = validate_email(text + suffix, check_deliverability=False, test_environment=True)
    return found.local_part, found.domain.removesuffix(suffix), found.ascii_domain.removesuffix(suffix)


def _fold(text: str) -> str:
    """NFKC and case-folded, until neither changes anything any more: one may undo the other once."""
    folded = unicodedata.normalize("NFKC", text.casefold())
    return folded if folded == text else _fold(folded)


def parse_name(text: str | None) -> str | None:
    """What to call a person, trimmed and in NFC; None where nothing is left.

    Raises:
        ValidationFailed: it has more than 100 characters, or some that are no text of one line.
    """
    return _line("name", text)


def parse_owner(email: str, name: str | None) -> tuple[Email | None, str | None, list[FieldError]]:
    """The address and the name of somebody who opens an account, and what is wrong with either.

    Everything is judged, so that a form is sent once and not once for each mistake.
    """
    address: Email | None = None
    called: str | None = None
    wrong: list[FieldError] = []
    try:
        address = parse_email(email)
    except ValidationFailed as refused:
        wrong += refused.errors
    try:
        called = parse_name(name)
    except ValidationFailed as refused:
        wrong += refused.errors
    return address, called, wrong


def parse_label(text: str | None) -> str | None:
    """What its owner calls a session, as ``parse_name``."""
    return _line("label", text)


def _line(field: str, text: str | None) -> str | None:
    if text is None:
        return None
    # Decomposed text is a few times as long as it will be; what is longer still need not be normalised to be refused.
    line = unicodedata.normalize("NFC", text.strip()) if len(text) <= 4 * LONGEST_LINE else text
    if len(line) > LONGEST_LINE:
        _refuse(field, f"Use at most {LONGEST_LINE} characters.")
    if any(unicodedata.category(sign) in {"Cc", "Cs"} or sign in _MISLEADING for sign in line):
        _refuse(field, "Use characters of one line of text, without control characters.")
    return line or None


def parse_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """Roles, sorted and each once.

    Raises:
        ValidationFailed: there are more than 32, or one is no lowercase identifier of at most 64 characters.
    """
    unique = sorted(set(roles))
    if len(unique) > MOST_ROLES:
        _refuse("roles", f"Use at most {MOST_ROLES} roles.")
    if not all(_ROLE.fullmatch(role) for role in unique):
        _refuse("roles", "A role begins with a-z and goes on with a-z, 0-9, colon, underscore or hyphen, 64 in all.")
    return tuple(unique)


def _refuse(field: str, message: str) -> NoReturn:
    raise ValidationFailed([FieldError(field=field, message=message)])
