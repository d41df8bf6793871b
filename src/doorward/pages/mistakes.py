"""What went wrong, in the words of the page and beside the field that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from doorward.errors import (
    DoorwardError,
    EmailTaken,
    FieldError,
    InvalidCredentials,
    RateLimited,
    Unavailable,
    ValidationFailed,
    WeakPassword,
)
from doorward.http.message import Header, seconds_to_wait
from doorward.http.problems import status_of
from doorward.pages.languages import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """What a form is shown again with.

    Args:
        status: of the answer.
        general: of the form as a whole, or None.
        fields: sentences by the field that they are about.
        headers: of the answer.
    """

    status: int
    general: str | None = None
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: tuple[Header, ...] = ()


def require(form: Mapping[str, str], *names: str) -> None:
    """Raises ValidationFailed naming the fields that were left empty; spares the work that they would cost."""
    empty = [name for name in names if not form.get(name)]
    if empty:
        raise ValidationFailed([FieldError(field=name, message=f"missing_{name}") for name in empty])


def with_missing(mistakes: Mistakes, form: Mapping[str, str], t: Language, *names: str) -> Mistakes:
    """What is wrong, where of an empty field no more is said than that it is empty."""
    missing = {name: [t(f"missing_{name}")] for name in names if not form.get(name)}
    return replace(mistakes, fields={**mistakes.fields, **missing}) if mistakes.fields else mistakes


def no_cookie(*, t: Language, is_kept_out: bool, is_here: bool) -> Mistakes:
    """What a form says where the browser did not bring back the cookie that came with the page.

    Args:
        t: the language.
        is_kept_out: whether browsers keep no cookie of ours at such an address, since it is one of plain HTTP.
        is_here: whether the server runs on the visitor's own machine, where most browsers do.
    """
    which = ("error_no_cookie_here" if is_here else "error_no_cookie_http") if is_kept_out else "error_no_cookie"
    return Mistakes(status=422, general=t(which))


def mistakes_of(error: DoorwardError, t: Language, *, judged: str) -> Mistakes:
    """What a form says of an error.

    Args:
        error: that the operation raised.
        t: the language.
        judged: the field with the password that is judged.
    """
    status = status_of(type(error))
    match error:
        case ValidationFailed(errors=errors):
            fields: dict[str, list[str]] = {}
            for each in errors:
                fields.setdefault(each.field, []).append(t.texts.get(each.message) or t.sentence(each.message))
            return Mistakes(status=status, fields=fields)
        case WeakPassword(advice=advice):
            said = [t("error_weak_password"), *map(t.sentence, advice)]
            return Mistakes(status=status, fields={judged: said})
        case EmailTaken():
            return Mistakes(status=status, fields={"email": [t("error_email_taken")]})
        case InvalidCredentials():
            # Not 401, which would have to name a scheme of authentication (RFC 9110 section 15.5.2).
            return Mistakes(status=422, general=t("error_invalid_credentials"))
        case RateLimited(retry_after=wait) | Unavailable(retry_after=wait):
            seconds = seconds_to_wait(wait)
            said_to_wait = t(f"error_{status}", wait=t.wait(seconds))
            return Mistakes(status=status, general=said_to_wait, headers=(("retry-after", str(seconds)),))
    return Mistakes(status=status, general=general_text(error, t))


def general_text(error: DoorwardError, t: Language) -> str:
    """One sentence for an error that is nobody's field."""
    return t.texts.get(f"error_{error.code}") or t("error_other")
