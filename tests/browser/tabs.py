"""Pages of an application that uses the browser client, and what a test asks them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page, Response, Route

from tests.browser.conftest import PATIENCE_MILLISECONDS

JS: Final = Path(__file__).parents[2] / "js"
ESBUILD: Final = JS / "node_modules" / ".bin" / "esbuild"
PASSWORD: Final = "seven green kettles whistle at dawn"

# Time that a test says has passed is added to the page's own.
_PAGE = """<!doctype html><meta charset="utf-8"><title>An application</title><link rel="icon" href="data:,">
<div id="root"></div>
<script type="module">
import { createClient } from "/client.js";
const skipped = () => window.skipped ?? 0;
window.client = createClient({ now: () => performance.now() + skipped(), ...OPTIONS });
window.changes = [];
client.onChange((session, reason) => changes.push(session ? "signed in" : reason ?? "over"));
const ask = () => client.fetch("BASE/v1/sessions/current").then((response) => response.status, String);
window.answers = [];
// All tabs at once, as when a laptop wakes up.
new BroadcastChannel("go").addEventListener("message", async () => answers.push(await ask()));
window.ask = ask;
window.ready = client.session();
</script>"""

# Whatever is written anywhere, ever, is noted; nothing of it changes what happens.
WATCH_STORAGE: Final = """
window.written = [];
const note = (what, value) => written.push([what, String(value)]);
const { setItem } = Storage.prototype;
Storage.prototype.setItem = function (name, value) {
  note(this === localStorage ? "localStorage" : "sessionStorage", value);
  return setItem.call(this, name, value);
};
const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
Object.defineProperty(document, "cookie", {
  get: () => cookie.get.call(document),
  set: (value) => { note("cookie", value); cookie.set.call(document, value); },
});
for (const method of ["put", "add"]) {
  const kept = IDBObjectStore.prototype[method];
  IDBObjectStore.prototype[method] = function (...args) {
    note("IndexedDB", JSON.stringify(args));
    return kept.apply(this, args);
  };
}
"""


def _esbuild(*arguments: str | Path, script: str | None = None) -> str:
    if not ESBUILD.exists():
        pytest.skip("js/node_modules is missing: python3 dev.py setup --all")
    return subprocess.run(
        (ESBUILD, *arguments, "--bundle", "--format=esm", "--log-level=error"),
        cwd=JS,
        input=script,
        check=True,
        capture_output=True,
        text=True,
        # Node comes in a wheel, beside Python.
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    ).stdout


@cache
def bundle() -> str:
    """The client as a page loads it."""
    return _esbuild(JS / "src" / "client.ts")


_IN_REACT = """
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { useSession } from "./react/index.ts";
import { createClient } from "./src/client.ts";
export { createClient };
function Who({ client }) {
  const session = useSession(client);
  window.renders = (window.renders ?? 0) + 1;
  return createElement("p", { id: "who" }, session === undefined ? "unknown" : (session?.account.email ?? "nobody"));
}
addEventListener("load", () => createRoot(document.getElementById("root")).render(createElement(Who, { client })));
"""


@cache
def bundle_in_react() -> str:
    """The same, and a component that shows who is signed in."""
    return _esbuild('--define:process.env.NODE_ENV="production"', script=_IN_REACT)


class App:
    """An application in a browser.

    Args:
        context: the browser.
        origin: of the page.
        base: where Doorward is, where that is another origin.
        options: of the client, in JavaScript.
        pages: of whoever serves the origin, to put ours among; None to answer requests for ours in the browser.
        script: what the page loads as the client, where that is not the client alone.
    """

    def __init__(
        self,
        context: BrowserContext,
        origin: str,
        *,
        base: str = "",
        options: str = "{}",
        pages: dict[str, str] | None = None,
        script: str | None = None,
    ) -> None:
        self.context = context
        self.origin = origin
        self.refused: list[str] = []
        """Addresses that were answered with 401."""
        self.renewals: list[int] = []
        """With which status each renewal was answered."""
        html = _PAGE.replace("OPTIONS", options).replace("BASE", base)
        if pages is not None:
            pages |= {"/app": html, "/client.js": script or bundle()}
        else:
            context.route(f"{origin}/app", lambda route: _serve(route, html, "text/html"))
            context.route(f"{origin}/client.js", lambda route: _serve(route, script or bundle(), "text/javascript"))
        context.on("response", self._see)

    def _see(self, response: Response) -> None:
        if response.status == 401:
            self.refused.append(response.url)
        if response.url.endswith("/v1/token"):
            self.renewals.append(response.status)

    def open(self) -> Page:
        page = self.context.new_page()
        page.goto(f"{self.origin}/app")
        page.evaluate("window.ready")
        return page

    def open_all(self, number: int) -> list[Page]:
        return [self.open() for _ in range(number)]


def _serve(route: Route, body: str, media_type: str) -> None:
    route.fulfill(body=body, content_type=f"{media_type}; charset=utf-8")


_numbers = count(1)


def sign_up(page: Page) -> None:
    """Make an account that nobody had before; the page remembers it."""
    ada = {"email": f"ada{next(_numbers)}@example.com", "password": PASSWORD}
    page.evaluate("ada => (window.ada = ada, client.signUp(ada))", ada)


def sign_in(page: Page, *, as_in: Page) -> None:
    """Sign in with the account that was made in another page, or in this one."""
    page.evaluate("ada => client.signIn(ada)", as_in.evaluate("window.ada"))


def session_of(page: Page) -> Any:
    return page.evaluate("client.session()")


def ask(page: Page) -> Any:
    return page.evaluate("ask()")


def skip_time(pages: Sequence[Page], seconds: int) -> None:
    """Let the pages think that time has passed."""
    for page in pages:
        page.evaluate("seconds => { window.skipped = (window.skipped ?? 0) + seconds * 1000 }", seconds)


def all_ask(pages: Sequence[Page]) -> list[Any]:
    """What each page is answered when all ask at once: a status, or what went wrong."""
    for page in pages:
        page.evaluate("answers.length = 0")
    pages[0].evaluate("new BroadcastChannel('go').postMessage('go')")
    for page in pages:
        page.wait_for_function("answers.length === 1", timeout=PATIENCE_MILLISECONDS)
    return [page.evaluate("answers[0]") for page in pages]


def changes_of(page: Page) -> Any:
    return page.evaluate("changes")
