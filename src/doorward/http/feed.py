"""The revocation feed (docs/concepts/revocation.md): a stream for speed, a question that bounds how old it can be."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from doorward.doorward import Doorward
from doorward.errors import StoreUnavailable
from doorward.http.message import JSON_TYPE, Header, Request, Response
from doorward.http.operation import Access, Answer, AnyOperation, Call, Operation
from doorward.http.shapes import Output, Time
from doorward.wire.feed import (
    AS_OF_HEADER,
    DIGEST_PATH,
    NOW_HEADER,
    STREAM_PATH,
    STREAM_TYPE,
    Reading,
    etag_of,
    write_digests,
    write_instant,
)

_STREAM_HEADERS: tuple[Header, ...] = (
    ("content-type", STREAM_TYPE),
    # nginx would wait until it has a buffer full of it.
    ("x-accel-buffering", "no"),
)


class RevocationJson(Output, frozen=True):
    kind: Literal["session", "account", "token", "key"]
    id: str
    value: int
    dies_at: Time
    reason: str | UnsetType = UNSET


class RecentRevocations(Output, frozen=True):
    """Entries that other servers may not have yet; the digests include them."""

    after: Annotated[Time, Meta(description="A whole second: these are all entries that die in a later one.")]
    revocations: list[RevocationJson]


class Digests(Output, frozen=True):
    as_of: Annotated[Time, Meta(description="When the store was last read whole, by its clock.")]
    now: Annotated[Time, Meta(description="What the store's clock says now.")]
    digests: Annotated[
        dict[str, str], Meta(description="By the minute since the epoch in which entries die: a sum of their hashes.")
    ]
    recent: Annotated[RecentRevocations | UnsetType, Meta(description="Left out where there are more than 2,500.")] = (
        UNSET
    )


async def follow_revocations(auth: Doorward, call: Call[str | None, None, None]) -> Response:
    deployment = auth.deployment
    if not deployment.hub.streams:
        raise StoreUnavailable(detail="the feed needs a host with an event loop; digests are answered here too")
    if call.request.method == "HEAD":
        return Response(status=200, headers=_STREAM_HEADERS)
    stream = deployment.hub.admit(call.caller, last_event_id=call.request.headers.get("last-event-id"))
    return Response(status=200, headers=_STREAM_HEADERS, stream=stream)


async def read_digests(auth: Doorward, call: Call[str | None, None, None]) -> Response:
    heartbeat = auth.deployment.hub.digests
    etag = etag_of(heartbeat.digests)
    if _has(call.request, etag):
        return Response(status=304, headers=(("etag", etag), *_times(heartbeat.reading)))
    return Response(status=200, headers=(JSON_TYPE, ("etag", etag)), body=write_digests(heartbeat))


def _has(request: Request, etag: str) -> bool:
    """Whether the caller has the answer with this tag (RFC 9110 section 13.1.2)."""
    tags = request.headers.get("if-none-match", "").split(",")
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags)


def _times(reading: Reading) -> tuple[Header, ...]:
    return (AS_OF_HEADER.lower(), write_instant(reading.as_of)), (NOW_HEADER.lower(), write_instant(reading.now))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        id="follow_revocations",
        method="GET",
        path=STREAM_PATH,
        tag="Revocation feed",
        summary="All live revocations, and then each as it happens (server-sent events)",
        access=Access.VERIFIER,
        handler=follow_revocations,
        answers={200: Answer(description="Events, until either side ends them.", shape=str, media_type=STREAM_TYPE)},
    ),
    Operation(
        id="read_revocation_digests",
        method="GET",
        path=DIGEST_PATH,
        tag="Revocation feed",
        summary="What a reader of the feed compares with what it holds",
        access=Access.VERIFIER,
        handler=read_digests,
        answers={
            200: Answer(
                description="The digests, and how old they are.", shape=Digests, headers={"ETag": "Of the digests."}
            ),
            304: Answer(
                description="The digests are those of If-None-Match.",
                headers={
                    "ETag": "Of the digests.",
                    AS_OF_HEADER: "When the store was last read, by its clock.",
                    NOW_HEADER: "What the store's clock says now.",
                },
            ),
        },
    ),
)
