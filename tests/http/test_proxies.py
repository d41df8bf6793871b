"""A proxy whose headers nobody reads is noticed."""

from __future__ import annotations

import logging

import pytest

from doorward.http.message import Request
from doorward.http.proxies import ENOUGH, ProxyWatch


def a_request(client: str | None, **headers: str) -> Request:
    return Request(
        method="POST",
        path="/v1/sessions",
        client=client,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def warnings(caplog: pytest.LogCaptureFixture, *requests: Request) -> list[str]:
    caplog.set_level(logging.WARNING, "doorward")
    watch = ProxyWatch()
    for request in requests:
        watch.notice(request)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "request_",
    [
        a_request("127.0.0.1", x_forwarded_for="8.8.8.8"),
        a_request("10.0.0.7", x_real_ip="8.8.8.8"),
        a_request("::ffff:172.17.0.1", forwarded='for="[2001:4860::1]:4711";proto=https'),
        a_request(None, x_forwarded_for="8.8.8.8"),
        a_request("", x_forwarded_for="8.8.8.8"),
    ],
)
def test_a_proxy_that_is_not_trusted_is_warned_of_once_and_named_with_the_remedy(
    caplog: pytest.LogCaptureFixture, request_: Request
) -> None:
    [warning] = warnings(caplog, *[request_] * (3 * ENOUGH))
    assert "DOORWARD_FORWARDED_ALLOW_IPS" in warning
    assert "ProxyFix" in warning
    assert "8.8.8.8" not in warning


@pytest.mark.parametrize(
    "request_",
    [
        a_request("127.0.0.1"),
        a_request(None),
        a_request("8.8.8.8", x_forwarded_for="8.8.8.8"),
        a_request("8.8.8.8", x_forwarded_for="1.1.1.1"),
        # A person of our own network, seen through a trusted proxy.
        a_request("10.0.0.5", x_forwarded_for="10.0.0.5"),
        a_request("10.0.0.5", x_forwarded_for="8.8.8.8, 10.0.0.5:4711"),
    ],
)
def test_a_client_whose_own_address_is_known_is_no_reason_to_warn(
    caplog: pytest.LogCaptureFixture, request_: Request
) -> None:
    assert warnings(caplog, *[request_] * (3 * ENOUGH)) == []


def test_nobody_is_warned_of_a_stray_request_where_addresses_are_known(caplog: pytest.LogCaptureFixture) -> None:
    stray, known = a_request("127.0.0.1", x_forwarded_for="8.8.8.8"), a_request("8.8.8.8", x_forwarded_for="8.8.8.8")
    assert warnings(caplog, *[stray] * (ENOUGH - 1), known, *[stray] * ENOUGH) == []
