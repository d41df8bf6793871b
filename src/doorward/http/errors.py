"""What can be wrong with a request before any operation sees it; the rest is in ``doorward.errors``."""

from __future__ import annotations

from collections.abc import Sequence

from doorward.errors import Refusal


class MalformedJson(Refusal):
    """The body is no JSON."""

    code = "malformed_json"
    public = "The body is no JSON in UTF-8."


class BodyTooLarge(Refusal):
    """The body is over 64 KiB."""

    code = "body_too_large"
    public = "The body is larger than 64 KiB."


class UnsupportedMediaType(Refusal):
    """The body is not ``application/json``: a form of a foreign page could be sent without asking first."""

    code = "unsupported_media_type"
    public = "Send the body as application/json."


class MethodNotAllowed(Refusal):
    """The resource is there and does not take the method.

    Args:
        allowed: the methods that it takes.
    """

    code = "method_not_allowed"
    public = "This resource does not take the method."

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = tuple(allowed)


class InvalidRequest(Refusal):
    """An OAuth request with a parameter missing, repeated or malformed (RFC 6749 section 5.2)."""

    code = "invalid_request"
    public = "A parameter is missing, repeated or malformed."


class UnsupportedGrantType(Refusal):
    """A grant type other than ``refresh_token``."""

    code = "unsupported_grant_type"
    public = "The grant type is not supported. Use refresh_token."


class InvalidClient(Refusal):
    """Whoever asks about a token has not proved who it is (RFC 6749 section 5.2, RFC 7662 section 2.1)."""

    code = "invalid_client"
    public = "Authenticate with a verifier's credential (Basic with its name, or Bearer), or with the admin key."
