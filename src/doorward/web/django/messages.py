"""Django's requests and answers, and ours."""

from __future__ import annotations

from http.cookies import SimpleCookie

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from doorward.errors import DoorwardError
from doorward.http.message import LARGEST_BODY, Header, Request, Response
from doorward.http.problems import problem_of
from doorward.web.django.test_client import skips_forgery_checks


def request_of(request: HttpRequest, *, path: str = "/", body: bytes = b"") -> Request:
    """The request as Doorward reads it.

    Args:
        request: Django's.
        path: below the place where Doorward's routes are.
        body: where it is needed.
    """
    headers = {name.lower(): value for name, value in request.headers.items() if value or name != "Content-Length"}
    if skips_forgery_checks(request) and "origin" not in headers:
        # Django's test client is no browser, which would say whose page it shows.
        headers.setdefault("sec-fetch-site", "same-origin")
    return Request(
        method=request.method or "",
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        headers=headers,
        body=body,
        client=request.META.get("REMOTE_ADDR") or None,
        scheme=request.scheme or "http",
    )


def read_body(request: HttpRequest) -> bytes:
    """The body, of which no more is read than tells that it is too large."""
    said = request.META.get("CONTENT_LENGTH") or ""
    if said.isascii() and said.isdigit() and (len(said) > 9 or int(said) > LARGEST_BODY):
        return b""  # refused by what it says, without reading any of it
    return request.read(LARGEST_BODY + 1)


def response_of(answer: Response) -> HttpResponse:
    """An answer of ours as Django sends it."""
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]
    add_headers(response, answer.headers)
    return response


def problem(request: HttpRequest, error: DoorwardError) -> HttpResponse:
    """What an error is answered with, as problem+json."""
    response = response_of(problem_of(error, request_of(request)))
    response["Cache-Control"] = "no-store"
    return response


def add_headers(response: HttpResponse, headers: tuple[Header, ...] | list[Header]) -> None:
    """Add headers of ours to an answer; cookies the way that Django keeps them."""
    for name, value in headers:
        if name == "set-cookie":
            cookies: SimpleCookie = response.cookies
            cookies.load(value)
        elif name == "vary":
            # There may be several, and Django keeps one.
            patch_vary_headers(response, [each.strip() for each in value.split(",")])
        else:
            response[name] = value
