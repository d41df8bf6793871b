"""Make the pictures: a real server, real commands, what they really printed, and what a real browser shows.

    .venv/bin/python docs/make_pictures.py

``python3 dev.py docs`` runs it.  Writes docs/images/terminal.svg, which needs no font and no file from elsewhere, and
the hosted pages in both themes as PNG, where there is a Chromium.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mmdb_writer import MMDBWriter
from netaddr import IPSet
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
PICTURE = IMAGES / "terminal.svg"
CHROMIUM = Path("/usr/bin/chromium")
DOORWARD = Path(sys.executable).parent / "doorward"
PATIENCE_SECONDS = 20

THEME = TerminalTheme(
    (17, 24, 39),
    (229, 231, 235),
    [
        (55, 65, 81),
        (248, 113, 113),
        (74, 222, 128),
        (250, 204, 21),
        (96, 165, 250),
        (192, 132, 252),
        (34, 211, 238),
        (229, 231, 235),
    ],
)

FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}" role="img">
<title>A terminal: signing up, signing in, a lost reply made good, a thief found out, and the session explained</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}
</defs>
<rect fill="#111827" width="{terminal_width}" height="{terminal_height}" rx="10"/>
<g transform="translate(12, 10)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


class Scene:
    """A terminal that remembers what was typed into it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.console = Console(record=True, width=112, file=io.StringIO(), force_terminal=True)
        self.folder = folder
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "COLUMNS": str(self.console.width),
            "DOORWARD_PORT": str(port),
            "PATH": f"{DOORWARD.parent}:{os.environ['PATH']}",
        }

    def say(self, text: str) -> None:
        self.console.print(Text(f"# {text}", style="cyan"))

    def shown(self, text: str) -> str:
        """What a reader sees: the default address in the place of a free one, and no credential whole."""
        text = re.sub("─+", "─" * self.console.width, text)
        return shorten(text.replace(self.address, "http://127.0.0.1:8000"))

    def run(self, command: str) -> str:
        """Run a command and show it with what it printed, credentials shortened."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        output = (done.stdout + done.stderr).strip()
        self.console.print(Text("$ ", style="green") + Text(self.shown(command), style="bold"))
        self.console.print(Text(self.shown(pretty(output))))
        self.console.print()
        return output


def shorten(text: str) -> str:
    """Keep the beginning of credentials: enough to recognise, nothing to use."""
    text = re.sub(r"\b(eyJ[\w-]{6})[\w.-]+", r"\1…", text)
    return re.sub(r"\b(dw[rs]_)[\w-]+([\w-]{6})\b", r"\1…\2", text)


def pretty(output: str) -> str:
    """JSON on one line, what is inside its members left out."""
    try:
        members = json.loads(output)
    except ValueError:
        return output
    inside = {name: {"…": "…"} if isinstance(value, dict) else value for name, value in members.items()}
    return json.dumps(inside, ensure_ascii=False).replace('{"…": "…"}', "{…}")


def play(scene: Scene) -> None:
    json_type = "-H 'content-type: application/json'"
    person = '{"email": "ada@example.com", "password": "correct horse battery staple"}'
    scene.run(f"curl -s {scene.address}/v1/accounts {json_type} -d '{person}'")
    signed_in = json.loads(scene.run(f"curl -s {scene.address}/v1/sessions {json_type} -d '{person}'"))
    form = f"-d grant_type=refresh_token -d refresh_token={signed_in['refresh_token']}"
    scene.say("refresh; the reply is lost, so refresh again with the same token: nobody is signed out")
    scene.run(f"curl -s {scene.address}/v1/token {form}")
    refreshed = json.loads(scene.run(f"curl -s {scene.address}/v1/token {form}"))
    scene.run(f"curl -s {scene.address}/v1/sessions/current -H 'authorization: Bearer {refreshed['access_token']}'")
    scene.say("much later somebody presents a stolen copy of the first token: that session ends, and says why")
    scene.run(f"curl -s {scene.address}/v1/token -A thief/1.0 {form}")
    scene.run(f"doorward sessions explain {signed_in['session']['id']}")


@contextmanager
def a_server(folder: Path, port: int, **settings: str) -> Iterator[str]:
    """A server in a folder; its address."""
    address = f"http://127.0.0.1:{port}"
    variables = {f"DOORWARD_{name}": value for name, value in settings.items()}
    server = subprocess.Popen(
        [DOORWARD, "serve", "--port", str(port)],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_serves(address, server)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE_SECONDS)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def terminal() -> None:
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(Path(name), a_free_port())
        # Without the grace, later is now.
        with a_server(scene.folder, scene.port, REFRESH_GRACE="0"):
            play(scene)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(scene.console.export_svg(theme=THEME, code_format=FORMAT, unique_id="doorward"))
    print(f"wrote {PICTURE.name}")


# The pages

ADA = {"email": "ada@example.com", "password": "correct horse battery staple"}
DEVICES = {
    "198.51.100.7": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
    "203.0.113.9": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
}
HERE = "192.0.2.1"
PLACES = {HERE: "Lisbon, Portugal", "198.51.100.7": "Lisbon, Portugal", "203.0.113.9": "Rotterdam, Netherlands"}


def pages() -> None:
    """Signing in, and one's sessions, in both themes."""
    if not CHROMIUM.exists():
        print(f"left as they were: the pictures of the pages, since {CHROMIUM} is missing")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_places(folder / "places.mmdb")
        settings = {"GEO_DATABASE": "places.mmdb", "FORWARDED_ALLOW_IPS": "127.0.0.1", "RATE_LIMITS": "off"}
        with a_server(folder, a_free_port(), **settings) as address:
            call(f"{address}/v1/accounts", {})
            for ip, agent in DEVICES.items():
                call(f"{address}/v1/sessions", {"x-forwarded-for": ip, "user-agent": agent})
            for theme in ("light", "dark"):
                photograph(address, theme)


def write_places(file: Path) -> None:
    writer = MMDBWriter(ip_version=4, database_type="Pictures-City", languages=["en"])
    for ip, place in PLACES.items():
        city, country = place.split(", ")
        writer.insert_network(IPSet([ip]), {"city": {"names": {"en": city}}, "country": {"names": {"en": country}}})
    writer.to_db_file(str(file))


def call(address: str, headers: dict[str, str]) -> None:
    request = urllib.request.Request(
        address, data=json.dumps(ADA).encode(), headers={"content-type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):
        pass


def photograph(address: str, theme: Literal["light", "dark"]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(
            base_url=address,
            color_scheme=theme,
            device_scale_factor=1.5,
            extra_http_headers={"x-forwarded-for": HERE},
            locale="en-GB",
            user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            viewport={"width": 760, "height": 640},
        )
        page = context.new_page()
        page.goto("/sign-in")
        page.locator("#email").fill(ADA["email"])
        page.locator("#password").fill(ADA["password"])
        keep(page, f"sign-in-{theme}.png")
        page.locator("#password").press("Enter")
        page.wait_for_url("**/sessions")
        keep(page, f"sessions-{theme}.png")
        page.goto("/sign-out")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_load_state()
        browser.close()


def lab() -> None:
    """The lab, once each strategy has been signed in to, watched and ended."""
    if not CHROMIUM.exists():
        print(f"left as they were: the pictures of the lab, since {CHROMIUM} is missing")
        return
    with tempfile.TemporaryDirectory() as name, a_server(Path(name), a_free_port(), LAB="on") as address:
        for theme in ("light", "dark"):
            photograph_lab(address, theme)


def photograph_lab(address: str, theme: Literal["light", "dark"]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme=theme, viewport={"width": 1100, "height": 1180})
        page.goto(f"{address}/lab")
        for strategy, last in (
            ("session", "Send a request"),
            ("jwt", "End it elsewhere"),
            ("hybrid", "Send a request"),
        ):
            column = page.locator(f"#column-{strategy}")
            for action in ("Sign in", last):
                column.get_by_role("button", name=action).click()
                column.get_by_role("button", name="Sign in").and_(page.locator(":enabled")).wait_for()
        page.screenshot(path=IMAGES / f"lab-{theme}.png")
        print(f"wrote lab-{theme}.png")
        browser.close()


def keep(page: Page, name: str) -> None:
    page.screenshot(path=IMAGES / name, full_page=True)
    print(f"wrote {name}")


def main() -> None:
    terminal()
    pages()
    lab()


def wait_until_it_serves(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not start")


if __name__ == "__main__":
    main()
