"""``vectors/problems.json`` says what is sent; the browser client reads the same file (tests/js)."""

from __future__ import annotations

from tests.http.problems import FILE, text


def test_the_vectors_of_problems_are_what_is_sent() -> None:
    assert FILE.read_text() == text(), "python -m tests.http.problems writes them anew"
