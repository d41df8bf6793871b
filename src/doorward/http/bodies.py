"""Reading what a client sends: JSON bodies, query strings and forms, each into a typed value or one clear refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from doorward.errors import FieldError, ValidationFailed
from doorward.http.errors import InvalidRequest, MalformedJson, UnsupportedMediaType
from doorward.http.message import Request
from doorward.secret import Secret

T = TypeVar("T")

_MOST_PARAMETERS = 64
_LONGEST_FIELD_NAME = 100

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}

_AT = re.compile(r" - at `\$\.?(.*)`\Z", re.DOTALL)
_NAMED = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)
_VALUE = re.compile(r"'.*'", re.DOTALL)


def read_json(request: Request, kind: type[T]) -> T:
    """The body as a value of a type.

    Raises:
        UnsupportedMediaType: it is not said to be JSON in UTF-8.
        MalformedJson: it is none.
        ValidationFailed: it has members that are missing, unknown or of the wrong type.
    """
    if not _is_json(request.headers.get("content-type", "")):
        raise UnsupportedMediaType
    try:
        value: T = _decoder(kind).decode(request.body)
    except msgspec.ValidationError as error:
        # The first wrong member ends the decoding: what follows it may still be no JSON at all.
        _check_json(request.body)
        raise ValidationFailed([_field_error(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Without the cause: its text may repeat what was sent.
        raise MalformedJson from None
    return value


def _is_json(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").lower()
    return media_type.strip().lower() == "application/json" and charset in {"", "charset=utf-8", 'charset="utf-8"'}


def _check_json(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson from None


def _decoder(kind: type) -> msgspec.json.Decoder[Any]:
    """Made once for each type: making one takes longer than using it."""
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_read_secret)
    return _decoders[kind]


def _read_secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("Expected `str`")


def _field_error(message: str) -> FieldError:
    """What msgspec found, without the value that it found: that may be a password in the wrong member."""
    named = _NAMED.match(message)
    if named is not None:
        what = "There is no such field here." if named[1] == "contains unknown" else "This field is missing."
        return FieldError(field=named[2][:_LONGEST_FIELD_NAME], message=what)
    at = _AT.search(message)
    what = _VALUE.sub("given", message[: at.start()] if at else message)
    return FieldError(field=at[1][:_LONGEST_FIELD_NAME] if at and at[1] else "body", message=what)


def read_query(request: Request, kind: type[T] | None) -> T | None:
    """The query string as a value of a type; None where the operation takes none.

    Raises:
        ValidationFailed: a parameter is unknown, repeated or of the wrong type.
    """
    if not request.query:
        # The usual case costs nothing.
        return kind() if kind is not None else None
    found: dict[str, str] = {}
    for name, value in _pairs(request.query):
        if name in found:
            raise _query_error(name, "This parameter is there twice.")
        found[name] = value
    if kind is None:
        raise _query_error(next(iter(found)), "There is no such parameter here.")
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValidationFailed([_field_error(str(error))]) from None


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise _query_error("query", "The query string is malformed.") from None


def _query_error(field: str, message: str) -> ValidationFailed:
    return ValidationFailed([FieldError(field=field[:_LONGEST_FIELD_NAME], message=message)])


def read_form(request: Request) -> Mapping[str, str]:
    """The parameters of an OAuth request.

    RFC 6749 section 3.2: those without a value count as left out, unknown ones are ignored, none may be there twice.

    Raises:
        InvalidRequest: it is no form, or a parameter is repeated.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidRequest("the content type is not application/x-www-form-urlencoded")
    try:
        pairs = _form_pairs(request.body.decode("utf-8"))
    except ValueError:
        raise InvalidRequest("the form is malformed") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidRequest("a parameter is repeated")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def _form_pairs(text: str) -> list[tuple[str, str]]:
    """The parameters of a form.  Raises ValueError: it is none."""
    if not text or "%" in text or "+" in text:
        return parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    # Nothing to decode: so it is with tokens, and parse_qsl would take several times as long to find that out.
    parameters = text.split("&")
    if len(parameters) > _MOST_PARAMETERS:
        raise ValueError("too many parameters")
    # Raises where there is no "=".
    return [(name, value) for name, value in (each.split("=", 1) for each in parameters)]
