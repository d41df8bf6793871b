"""What the guides show is an application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import run_block


@pytest.mark.parametrize("page", ["connections-that-stay-open.md", "what-a-route-demands.md"])
def test_the_example_of_a_guide_is_an_application(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_block(page).app.routes


def test_the_service_of_the_guide_on_verifiers_is_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_VERIFIER_CREDENTIAL", "dwv_a_credential")
    assert run_block("verifier.md", "litestar").app.routes
