"""What the lab recommends can be copied: every answer's settings are settings, and its carrier is one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from doorward.options import Options
from doorward.sessions.signing_in import decide_carrier

STATIC: Final = Path(__file__).parents[2] / "src" / "doorward" / "lab" / "static"
NODE: Final = Path(sys.executable).parent / "node"

ASK: Final = """
import { QUESTIONS, recommend } from %s;
const withEach = (found, { name, choices }) =>
  found.flatMap((each) => Object.keys(choices).map((choice) => ({ ...each, [name]: choice })));
const all = QUESTIONS.reduce(withEach, [{}]);
console.log(JSON.stringify(all.map((answers) => [answers, recommend(answers)])));
"""


@pytest.fixture(scope="module")
def recommendations() -> list[Any]:
    if not NODE.exists():
        pytest.skip("Node is missing: python3 dev.py setup")
    script = ASK % json.dumps((STATIC / "questions.js").as_uri())
    done = subprocess.run([NODE, "--input-type=module", "--eval", script], check=True, capture_output=True, text=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def test_every_recommendation_can_be_copied(recommendations: list[Any]) -> None:
    assert len(recommendations) == 48
    for _, advice in recommendations:
        settings: Any = tomllib.loads("\n".join(advice["settings"]))
        if "cors_origins" in settings:
            settings["cors_origins"] = tuple(settings["cors_origins"])
        if "max_staleness" in settings:
            settings["max_staleness"] = timedelta(seconds=settings["max_staleness"])
        Options(**settings).checked()
        assert settings["strategy"] == advice["strategy"]
        assert decide_carrier(advice["strategy"], advice["carrier"]) == advice["carrier"]
        assert advice["because"]


@pytest.mark.parametrize(
    ("answers", "strategy", "carrier"),
    [
        ({"client": "pages", "services": "one"}, "session", "cookie"),
        ({"client": "pages", "services": "several"}, "hybrid", "cookie"),
        ({"client": "spa", "origin": "same"}, "hybrid", "cookie"),
        ({"client": "spa", "origin": "site"}, "hybrid", "cookie"),
        ({"client": "spa", "origin": "other"}, "hybrid", "token"),
        ({"client": "mobile"}, "hybrid", "token"),
        ({"client": "machines"}, "jwt", "token"),
    ],
)
def test_what_is_recommended_to_whom(
    recommendations: list[Any], answers: dict[str, str], strategy: str, carrier: str
) -> None:
    fitting = [advice for given, advice in recommendations if answers.items() <= given.items()]
    assert fitting
    assert {(advice["strategy"], advice["carrier"]) for advice in fitting} == {(strategy, carrier)}


def test_a_page_elsewhere_is_told_to_be_listed(recommendations: list[Any]) -> None:
    for given, advice in recommendations:
        listed = any(line.startswith("cors_origins") for line in advice["settings"])
        assert listed == (given["client"] == "spa" and given["origin"] != "same")
