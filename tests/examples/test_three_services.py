"""Three services beside a server, as real processes, by the commands of their page."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.servers import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "three_services"
PORTS = range(8000, 8004)
WITHIN_SECONDS = 60
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| `(\w+) (\S+)` \| (\d+) \| (\d+) \|$", re.MULTILINE)


class Shell:
    """The folder of the example, with ports that are free here, and its page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = {str(port): str(free_port()) for port in PORTS}
        for file in EXAMPLE.iterdir():
            if file.suffix in {".md", ".py", ".toml"}:
                text = re.sub(r"\b800[0-3]\b", lambda found: ports[found[0]], file.read_text())
                (folder / file.name).write_text(text)
        page = (folder / "README.md").read_text()
        self.once, self.starts, self.calls, self.ends = (block.splitlines() for block in _BLOCK.findall(page))
        self.rows = [(method, url, (int(ada), int(bo))) for method, url, ada, bo in _ROW.findall(page)]
        bare = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = bare | {"PATH": path, "DOORWARD_INSECURE_FAST_HASHING": "on"}

    def run(self, *lines: str) -> None:
        subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=WITHIN_SECONDS,
            check=True,
        )

    @contextmanager
    def running(self, line: str) -> Iterator[None]:
        process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def call(self, line: str, token: str = "") -> httpx.Response:
        """What a line with curl asks."""
        curl, url, *options = shlex.split(line.replace("$TOKEN", token))
        assert curl == "curl"
        given = dict(zip(options[::2], options[1::2], strict=True))
        name, _, value = given["-H"].partition(": ")
        method = given.get("-X", "POST" if "-d" in given else "GET")
        return ask(method, url, {name: value}, given.get("-d"))


def ask(method: str, url: str, headers: dict[str, str], body: str | None = None) -> httpx.Response:
    return httpx.request(method, url, headers=headers, content=body, timeout=WITHIN_SECONDS, trust_env=False)


def eventually(found: Callable[[], httpx.Response | None]) -> httpx.Response:
    """The first answer that will do.  There is none while nobody listens."""
    until = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < until:
        try:
            answer = found()
        except httpx.TransportError:
            answer = None
        if answer is not None:
            return answer
        time.sleep(0.02)
    raise AssertionError("it has not come to pass")


def answered(method: str, url: str, token: str) -> httpx.Response:
    """By a service that is there and knows what it has to know."""

    def known() -> httpx.Response | None:
        answer = ask(method, url, {"authorization": f"Bearer {token}"})
        return None if answer.status_code == 503 else answer

    return eventually(known)


def refused(method: str, url: str, token: str) -> httpx.Response:
    """Sooner or later."""

    def once_it_is() -> httpx.Response | None:
        answer = answered(method, url, token)
        return answer if answer.status_code == 401 else None

    return eventually(once_it_is)


def problem(answer: httpx.Response) -> Any:
    return answer.json()["code"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash: the page's commands are for it")
def test_three_services_take_one_sign_in_each_for_what_it_allows_and_none_once_it_is_over(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    orders, server, payments, reports = shell.starts
    (orders_url, *_) = (url for _, url, _ in shell.rows)
    shell.run(*shell.once)

    with shell.running(orders):
        # Nobody has told it a key yet, and that is nobody's fault who calls.
        early = eventually(lambda: ask("GET", orders_url, {"authorization": "Bearer a.b.c"}))
        assert (early.status_code, problem(early)) == (503, "not_fresh")
        assert int(early.headers["retry-after"]) >= 1

        with shell.running(server), shell.running(payments), shell.running(reports):
            sign_in, *calls = shell.calls
            eventually(lambda: ask("GET", sign_in.split()[1].replace("/v1/sessions", "/readyz"), {}))
            ada = shell.call(sign_in).json()["access_token"]
            bo = shell.call(sign_in.replace("ada@", "bo@").replace(*passwords(shell))).json()["access_token"]
            for method, url, statuses in shell.rows:
                for token, status in zip((ada, bo), statuses, strict=True):
                    answer = answered(method, url, token)
                    assert answer.status_code == status, answer.text
                    assert status == 200 or problem(answer) == "not_permitted"
            assert [shell.call(line, ada).status_code for line in calls] == [200, 200]

            by_herself, by_the_operator = shell.ends
            assert shell.call(by_herself, ada).status_code == 204
            for method, url, (_, status) in shell.rows:
                assert problem(refused(method, url, ada)) == "invalid_token"
                assert answered(method, url, bo).status_code == status
            shell.run(by_the_operator)
            for method, url, _ in shell.rows:
                assert problem(refused(method, url, bo)) == "invalid_token"


def passwords(shell: Shell) -> list[str]:
    """Ada's and Bo's."""
    return [shlex.split(line)[1] for line in shell.once if line.startswith("echo")]
