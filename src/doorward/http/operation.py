"""What an operation is: the one description that its route, its documentation and its answer are made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Literal, TypeVar

from doorward.audit.model import Origin
from doorward.doorward import Doorward
from doorward.errors import DoorwardError
from doorward.http.message import Request, Response

CallerT = TypeVar("CallerT")
BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")


class Access(Enum):
    """Who may call."""

    ANYBODY = "anybody"
    VISITOR = "visitor"
    """Anybody, but not through a foreign page: signing in and up."""
    REFRESHER = "refresher"
    """Whoever presents a refresh token; the handler judges it."""
    ACCOUNT = "account"
    OPTIONAL = "optional"
    """As ACCOUNT, or a request without a credential; the handler decides whether that is refused."""
    PROXIED = "proxied"
    """As ACCOUNT, of the request that a reverse proxy asks about."""
    LEAVER = "leaver"
    """An account, or whoever has the refresh cookie of the session that it ends."""
    ADMIN = "admin"
    INTROSPECTOR = "introspector"
    """As ADMIN, or a verifier; by a bearer credential alone, refused in OAuth's words."""
    VERIFIER = "verifier"
    """A verifier's credential, or the admin key, as a bearer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[CallerT, BodyT, QueryT]):
    """One call of an operation.

    Args:
        request: as it came.
        caller: who calls, by the operation's ``Access``.
        body: what the operation's body was read into.
        query: what the query string was read into.
        path: the parts of the path that the template names.
        metrics: the text of ``/metrics``, where something measures.
    """

    request: Request
    caller: CallerT
    body: BodyT
    query: QueryT
    path: Mapping[str, str]
    metrics: Callable[[], bytes] | None = None

    @property
    def origin(self) -> Origin:
        return self.request.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which an operation succeeds.

    Args:
        description: for the documentation.
        shape: of the JSON body, or None.
        media_type: of the body, where there is one.
        headers: the names of headers worth knowing of, with what they say.
    """

    description: str
    shape: Any = None
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[CallerT, BodyT, QueryT]):
    """One entry of the table.

    Args:
        id: stable; names the operation in OpenAPI and in metrics.
        method: of HTTP.
        path: a template; ``{id}`` stands for one part.
        tag: which section of the documentation.
        summary: a line for the documentation.
        access: who may call.
        handler: does it.
        answers: by status, how it succeeds.
        body: what the body is read into, or None where none is taken.
        query: what the query string is read into, or None where none is taken.
        form: what the form of an OAuth endpoint holds, for the documentation.
        refuses: the errors of its own, beside those that follow from the rest of the entry.
        format: how errors are worded.
        public: whether the answer is the same for everybody and no secret: any page may read it, caches may keep it.
        needs_store: whether the deployment has to be open.
    """

    id: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    tag: str
    summary: str
    access: Access
    handler: Callable[[Doorward, Call[CallerT, BodyT, QueryT]], Awaitable[Response]]
    answers: Mapping[int, Answer]
    body: type[BodyT] | None = None
    query: type[QueryT] | None = None
    form: Any = None
    refuses: tuple[type[DoorwardError], ...] = ()
    format: Literal["problem", "oauth"] = "problem"
    public: bool = False
    needs_store: bool = True

    @property
    def takes_query(self) -> bool:
        """Whether the query string is judged: below /v1, but for OAuth, an unknown parameter is a mistake."""
        return self.path.startswith("/v1/") and self.format == "problem"


AnyOperation = Operation[Any, Any, Any]
