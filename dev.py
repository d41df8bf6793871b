#!/usr/bin/env python3
"""The one tool of a developer.  It needs Python 3.11 and nothing else; whatever is missing, it installs.

    python3 dev.py setup [--all]      .venv with doorward in it; --all adds what the tests need from the system
    python3 dev.py run [OPTIONS]      the server; the options are those of `doorward serve`
    python3 dev.py test [OPTIONS]     all tests; the options are pytest's
    python3 dev.py test --lowest [OPTIONS]   what touches dependencies, with the lowest versions of them
    python3 dev.py check              lint, format, types, layers, dependencies, lock, links
    python3 dev.py bench [NAME ...] [--quick]   benchmarks/NAME.py, or all; writes docs/benchmarks/
    python3 dev.py docs               what is generated in docs/: the OpenAPI document, frameworks, pictures
    python3 dev.py lock [--upgrade]   requirements.lock from pyproject.toml

Each begins with setup, which takes no time once it is done.  POSIX only: on Windows, use WSL.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

if sys.version_info < (3, 11):  # noqa: UP036 -- whoever starts this with an older Python is told so
    sys.exit(f"Doorward needs Python 3.11 or later; this is {sys.version.split()[0]}.")

import tomllib

ROOT = Path(__file__).resolve().parent
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
BIN = VENV / "bin"
# Node packages, and what is skipped without them.
NODE_PACKAGES = {
    ROOT / "tests" / "oracles": "the tests that compare with other implementations",
    ROOT / "js": "the tests of the browser client",
}
# The interpreter itself, also when this runs inside some virtual environment: .venv must not hang on another one.
PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
# An environment of this tool's own, one for each Python: an upgrade of the system's would break it.
TOOLS = ROOT / ".dev" / f"tools-{sys.version_info.major}.{sys.version_info.minor}"
UV = "uv==0.13.9"
# The lowest versions that pyproject.toml allows, and the tests that find out what does not work with them.
LOWEST = ROOT / ".dev" / f"lowest-{sys.version_info.major}.{sys.version_info.minor}"
TOUCHING_DEPENDENCIES = tuple(
    f"tests/{name}"
    for name in (
        *("authenticators", "http", "keys", "sessions", "tokens", "verifier"),
        *("stores/test_postgres.py", "stores/test_sqlite.py"),
        *("web/django", "web/test_flask.py", "web/test_looked.py"),
    )
)
# What Doorward is measured beside, and what that asks for: in an environment of its own, never in .venv or the lock.
PEERS = ROOT / ".dev" / f"peers-{sys.version_info.major}.{sys.version_info.minor}"
PEERS_WANTED = ROOT / "benchmarks" / "peers" / "requirements.txt"
NODE_PEERS = ROOT / "benchmarks" / "peers" / "node"

# Debian's packages, and what happens without them.
SYSTEM_PACKAGES = {
    "chromium": "the tests in a browser are skipped",
    "libatomic1": "the tests in a browser are skipped",
    "memcached": "the tests of the cache in Memcached are skipped",
    "pgbouncer": "the tests of a pooler before PostgreSQL are skipped",
    "nginx-light": "the tests of forward authentication behind nginx are skipped",
    "spin": "the tests of the protocol models are skipped",
    "gcc": "the tests of the protocol models are skipped",
    "libc6-dev": "the tests of the protocol models are skipped",
    "tcc": "the tests of the protocol models take longer",
    "wrk": "the measurements of requests over HTTP are skipped",
}

say = partial(print, flush=True)


def environment() -> dict[str, str]:
    """Tools of .venv first, certificates of the system, and caches in the repository for a user without a home."""
    own = {"PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}", "NODE_USE_SYSTEM_CA": "1"}
    # What was compiled for one process is kept for the next, also where the machine says not to: tests start hundreds.
    own["PYTHONDONTWRITEBYTECODE"] = ""
    if not os.access(Path("~").expanduser(), os.W_OK):
        own |= dict.fromkeys(("XDG_CACHE_HOME", "npm_config_cache"), str(ROOT / ".dev" / "cache"))
    return os.environ | own


def call(*command: str | Path, **variables: str) -> int:
    return subprocess.run(command, cwd=ROOT, env=environment() | variables, check=False).returncode


def ask(*command: str | Path) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def fingerprint(*files: Path) -> list[str]:
    """Interpreter and place, where another one means to start over, and what the files say."""
    digests = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
    return [str(PYTHON), str(ROOT), hashlib.sha256(digests).hexdigest()]


def read_stamp(stamp: Path) -> list[str]:
    return stamp.read_text().splitlines() if stamp.is_file() else []


def install_tools() -> dict[str, str]:
    """Put uv into an environment of the tool's own.  Returns the variables that uv needs."""
    if find_spec("ensurepip") is None:
        sys.exit("This Python cannot make virtual environments. On Debian: apt-get install python3-venv")
    if not (TOOLS / "bin" / "pip").exists():
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(TOOLS)
    pip = (TOOLS / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    call(*pip, "install", "--quiet", UV)
    # uv does not read pip's configuration, so it is told of a mirror that pip is configured to use.
    mirror = os.environ.get("PIP_INDEX_URL") or ask(*pip, "config", "get", "global.index-url").strip()
    return {"UV_DEFAULT_INDEX": mirror} if mirror and "UV_DEFAULT_INDEX" not in os.environ else {}


def install_packages() -> None:
    """Put exactly what the lock names into .venv, by hash, and the project itself, editable."""
    stamp, wanted = VENV / "stamp", fingerprint(LOCK, PROJECT)
    have, python = read_stamp(stamp), BIN / "python"
    if have == wanted and python.exists() and (BIN / "doorward").exists():
        return
    say("Installing Python packages into .venv")
    mirror = install_tools()
    if have[:2] != wanted[:2] or not python.exists():
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(VENV)
    editable = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    uv = (TOOLS / "bin" / "uv", "--no-config", "--system-certs", "pip")
    pip = (TOOLS / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--python", python)
    if (
        not uv[0].exists()
        or call(*uv, "sync", "--quiet", "--require-hashes", "--python", python, LOCK, **mirror)
        or call(*uv, *editable, "--python", python, **mirror)
    ):
        say("uv could not do it; trying pip, which takes half a minute")
        if call(*pip, "install", "--quiet", "--require-hashes", "-r", LOCK) or call(*pip, *editable):
            sys.exit("The packages could not be installed, see above. Can a package index be reached?")
    stamp.write_text("\n".join(wanted))


def install_system_packages() -> None:
    """Install what tests need from Debian.  Never a reason to stop: a test without its tool skips and says so."""
    query = ("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *SYSTEM_PACKAGES)
    debian = shutil.which("apt-get") is not None
    known = ask(*query).splitlines() if debian else []
    missing = [package for package in SYSTEM_PACKAGES if f"{package} installed" not in known]
    if debian and missing and os.geteuid() == 0:
        say(f"Installing by apt: {' '.join(missing)}")
        # dpkg looks for its own tools in sbin, which a bare environment leaves out.
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        apt = ("apt-get", "-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Dpkg::Use-Pty=0")
        call(*apt, "update", **quiet)
        if call(*apt, "install", "--yes", "--no-install-recommends", *missing, **quiet) == 0:
            return
    for package in missing:
        say(f"Not installed: {package}. Without it, {SYSTEM_PACKAGES[package]}.")


def install_node_packages(folder: Path, skipped: str) -> None:
    """Install what a package-lock.json names, by the npm that comes in a wheel.  Never a reason to stop."""
    if not (folder / "package.json").is_file():
        return
    stamp, wanted = folder / "node_modules" / ".stamp", fingerprint(*sorted(folder.glob("package*.json")))
    if read_stamp(stamp) == wanted:
        return
    say(f"Installing Node packages into {folder.relative_to(ROOT)}")
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    bounded = ("--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000")
    if call(BIN / "npm", "ci", "--prefix", folder, *quiet, *bounded):
        say(f"Not installed: Node packages, see above. Without them, {skipped} are skipped.")
    else:
        stamp.write_text("\n".join(wanted))


def install_peers() -> None:
    """Put the peers beside .venv, with the same frameworks and servers.  Never a reason to stop."""
    install_node_packages(NODE_PEERS, "what is measured beside Node")
    stamp, wanted = PEERS / "stamp", fingerprint(LOCK, PEERS_WANTED)
    if read_stamp(stamp) == wanted:
        return
    say(f"Installing what Doorward is measured beside into {PEERS.relative_to(ROOT)}")
    shared = [line for line in PEERS_WANTED.read_text().splitlines() if re.fullmatch(r"[a-z]+", line)]
    lines = (line.rstrip(" \\") for line in LOCK.read_text().splitlines())
    mirror = install_tools()
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(PEERS)
    same = PEERS / "same.txt"
    same.write_text("\n".join(line for line in lines if line.partition("==")[0] in shared))
    uv = (TOOLS / "bin" / "uv", "--no-config", "--system-certs", "pip")
    if call(*uv, "install", "--quiet", "--python", PEERS / "bin" / "python", "-c", same, "-r", PEERS_WANTED, **mirror):
        say("Not installed: the peers, see above. Without them, Doorward is measured alone.")
        shutil.rmtree(PEERS)
    else:
        stamp.write_text("\n".join(wanted))


def install_lowest() -> None:
    """Make an environment with the lowest version of each dependency, and the lock's of whatever these allow."""
    stamp, wanted = LOWEST / "stamp", fingerprint(LOCK, PROJECT)
    if read_stamp(stamp) == wanted:
        return
    say(f"Installing the lowest versions into {LOWEST.relative_to(ROOT)}")
    mirror, python = install_tools(), LOWEST / "bin" / "python"
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(LOWEST)
    uv = (TOOLS / "bin" / "uv", "--no-config", "--system-certs", "pip")
    compiling = (*uv, "compile", PROJECT.name, "--all-extras", "--quiet", "--no-header", "--no-annotate")
    floors, chosen = LOWEST / "floors.txt", LOWEST / "chosen.txt"
    if call(*compiling, "--python", python, "--resolution", "lowest-direct", "-o", floors, **mirror):
        sys.exit("The lowest versions do not go together, see above.")
    project = tomllib.loads(PROJECT.read_text())["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    names = {re.split(r"[^A-Za-z0-9_-]", each)[0] for each in asked}
    direct = [line for line in floors.read_text().splitlines() if line.partition("==")[0] in names]
    floors.write_text("\n".join(direct))
    # What is asked for by them alone stays as it is in the lock, as far as they allow.
    shutil.copy(LOCK, chosen)
    if (
        call(*compiling, "--python", python, "--group", "tests", "-c", floors, "-o", chosen, **mirror)
        or call(*uv, "sync", "--quiet", "--python", python, chosen, **mirror)
        or call(
            *uv, "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", ROOT, "--python", python, **mirror
        )
    ):
        sys.exit("The lowest versions could not be installed, see above.")
    stamp.write_text("\n".join(wanted))


def setup(arguments: list[str]) -> int:
    """Make .venv; with --all, also what the tests need from the system."""
    (ROOT / ".dev").mkdir(exist_ok=True)
    with (ROOT / ".dev" / "busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)  # a second setup waits, and then finds the work done
        install_packages()
        if "--all" in arguments:
            install_system_packages()
            for folder, skipped in NODE_PACKAGES.items():
                install_node_packages(folder, skipped)
    return 0


def run(arguments: list[str]) -> int:
    """Become the server, so that signals reach it."""
    setup([])
    # Safari keeps no Secure cookie of http://127.0.0.1.
    variables = {"DOORWARD_INSECURE_COOKIES_OVER_HTTP": "true"} | environment()
    os.execve(BIN / "doorward", ["doorward", "serve", *arguments], variables)  # noqa: S606 -- no shell, on purpose


def test(arguments: list[str]) -> int:
    """Run all tests, on three processes: on two cores, one of them mostly waits for a server.

    All tests of a file run in one process and share the servers of its fixtures.  Files are run in order: those with
    few tests are not the quick ones, and sorted by their number they would come last.
    """
    setup(["--all"])
    shared = ("-m", "pytest", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
    if "--lowest" not in arguments:
        return call(BIN / "python", *shared, *arguments)
    install_lowest()
    options = [each for each in arguments if each != "--lowest"]
    chosen = () if any((ROOT / each.partition("::")[0]).exists() for each in options) else TOUCHING_DEPENDENCIES
    path = f"{LOWEST / 'bin'}:{BIN}:{os.environ.get('PATH', os.defpath)}"
    return call(LOWEST / "bin" / "python", *shared, *chosen, *options, PATH=path)


def bench(arguments: list[str]) -> int:
    """Measure what is named, or everything; --quick is for whether it works, and leaves docs/ as it is."""
    setup(["--all"])
    install_peers()
    return call(BIN / "python", "-m", "benchmarks", *arguments)


def docs(_: list[str]) -> int:
    """Write what is made from the code: the OpenAPI document, the table of frameworks, pictures of a real server."""
    setup([])
    page = ROOT / "docs" / "reference" / "openapi.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run([BIN / "doorward", "openapi"], stdout=subprocess.PIPE, cwd=ROOT, check=False)
    if made.returncode:
        say(f"failed, left as it was: {page.relative_to(ROOT)}")
        return made.returncode
    page.write_bytes(made.stdout)
    say(f"wrote {page.relative_to(ROOT)}")
    made_by = [call(BIN / "python", ROOT / "docs" / f"make_{what}.py") for what in ("frameworks", "pictures")]
    return max(made_by)


def wishes(project: Mapping[str, object]) -> str:
    """A hash of what pyproject.toml asks for.  The lock carries it, so that a stale lock shows without a network."""
    asked = json.dumps([project["project"], project["dependency-groups"]], sort_keys=True)
    return f"# wishes: {hashlib.sha256(asked.encode()).hexdigest()}"


def stale_lock() -> Iterator[str]:
    if wishes(tomllib.loads(PROJECT.read_text())) not in LOCK.read_text().splitlines():
        yield "pyproject.toml asks for other packages than requirements.lock was made for: python3 dev.py lock"


def lock(arguments: list[str]) -> int:
    """Choose versions anew, keeping those that still fit; --upgrade lets them go."""
    quiet = ("--quiet", "--no-config", "--system-certs", "--no-header", "-o", LOCK)
    asked = ("--all-extras", "--group", "dev", "--universal", "--python-version", "3.11", "--generate-hashes")
    variables = install_tools()
    # Named without a path: what the lock says about its origin must not tell where it was made.
    if call(TOOLS / "bin" / "uv", "pip", "compile", PROJECT.name, *asked, *quiet, *arguments, **variables):
        return 1
    made_by = "# Made by `python3 dev.py lock`, for Python 3.11 and later on every platform."
    LOCK.write_text("\n".join([made_by, wishes(tomllib.loads(PROJECT.read_text())), LOCK.read_text()]))
    return 0


# What of Markdown matters to links.
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1[^\n]*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^ {0,3}\[[^\]^]+\]:\s+<?([^\s>]+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")


def anchors(page: str) -> set[str]:
    """The names that a page can be linked to by: its headings as they are rendered on the usual hosts, and <a id>."""
    text = FENCE.sub("", page)
    shown = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(text))
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in shown]
    numbered = {f"{slug}-{slugs[:at].count(slug)}" for at, slug in enumerate(slugs)}
    return {*ANCHOR.findall(text), *slugs, *numbered}


def dead_links(root: Path = ROOT) -> Iterator[str]:
    """Name the links between the repository's pages that lead nowhere."""
    pages: list[Path] = []
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "node_modules")
        pages += (Path(folder, name) for name in sorted(files) if name.endswith(".md"))
    for page in pages:
        prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
        for target in (inline or reference for inline, reference in LINK.findall(prose)):
            if re.match(r"[a-z][a-z0-9+.-]*:|//", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            file = (root / path[1:] if path.startswith("/") else page.parent / path) if path else page
            if not file.exists() or not file.resolve().is_relative_to(root.resolve()):
                yield f"{page.relative_to(root)}: {target}: no such file"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
                yield f"{page.relative_to(root)}: {target}: no such heading"


def tool(*command: str) -> Callable[[], Iterator[str]]:
    def complaints() -> Iterator[str]:
        plain = environment() | {"NO_COLOR": "1"}
        done = subprocess.run(command, cwd=ROOT, env=plain, text=True, capture_output=True, check=False)
        if done.returncode:
            yield (done.stdout + done.stderr).strip()

    return complaints


CHECKS = {
    "types": tool("mypy"),
    "lint": tool("ruff", "check", "--quiet"),
    "format": tool("ruff", "format", "--check", "--quiet"),
    "layers": tool("lint-imports", "--no-logo", "--no-cache"),
    "dependencies": tool("deptry", "--no-ansi", "src"),
    "lock": stale_lock,
    "links": dead_links,
}


def check(_: list[str]) -> int:
    """Run every check, whether or not another has failed."""
    setup([])

    failed = 0
    for name, complaints_of in CHECKS.items():
        begun = time.perf_counter()
        complaints = list(complaints_of())
        say(f"{'FAILED' if complaints else 'ok':<7}{name:<14}{time.perf_counter() - begun:5.1f} s")
        for complaint in complaints:
            say(complaint)
        failed += bool(complaints)
    say(f"{failed} of {len(CHECKS)} checks failed" if failed else f"{len(CHECKS)} checks passed")
    return bool(failed)


COMMANDS = {command.__name__: command for command in (setup, run, test, check, bench, docs, lock)}


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    say(__doc__)
    return 0 if {"-h", "--help"} & {*arguments} else 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
