"""The browser client by itself: its own tests, its types, its size."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

JS: Final = Path(__file__).parents[2] / "js"
BIN: Final = Path(sys.executable).parent
MOST_BYTES: Final = 5 * 1024

pytestmark = pytest.mark.skipif(
    not (JS / "node_modules" / ".bin" / "tsc").exists(), reason="js/node_modules is missing: python3 dev.py setup --all"
)


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    # Node and npm come in a wheel; what js/ has installed wants to find them.
    environment = os.environ | {"PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=JS, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done


def test_the_clients_own_tests_pass() -> None:
    done = run(BIN / "node", "--test", *sorted(JS.glob("tests/*.test.ts")))
    assert b"pass 0" not in done.stdout


def test_the_types_hold() -> None:
    run(JS / "node_modules" / ".bin" / "tsc", "--project", "tsconfig.json")


def test_the_package_is_built_with_its_types(tmp_path: Path) -> None:
    run(JS / "node_modules" / ".bin" / "tsc", "--project", "tsconfig.build.json", "--outDir", tmp_path)
    assert "export declare function createClient" in (tmp_path / "src" / "client.d.ts").read_text()
    assert 'from "./tabs.js"' in (tmp_path / "src" / "client.js").read_text()
    assert "export declare function useSession" in (tmp_path / "react" / "index.d.ts").read_text()


def test_the_package_can_be_published() -> None:
    """Its archive holds the licence, the types and every file that ``exports`` names; where it comes from is said."""
    packed = json.loads(run(BIN / "npm", "pack", "--dry-run", "--json").stdout)[0]
    files = {file["path"] for file in packed["files"]}
    package = json.loads((JS / "package.json").read_text())
    assert not package.get("private")
    assert {"LICENSE", "README.md", "package.json"} <= files
    assert {path.removeprefix("./") for each in package["exports"].values() for path in each.values()} <= files
    assert all(path.startswith("dist/") for path in files - {"LICENSE", "README.md", "package.json"})
    assert package["license"] == "Apache-2.0"
    assert package["repository"]["directory"] == "js"
    assert (JS / "LICENSE").read_bytes() == (JS.parent / "LICENSE").read_bytes()


def test_the_client_is_under_5_kb_compressed() -> None:
    bundled = run(
        JS / "node_modules" / ".bin" / "esbuild", "src/client.ts", "--bundle", "--format=esm", "--minify"
    ).stdout
    size = len(gzip.compress(bundled))
    assert size < MOST_BYTES, f"{size} bytes"


def test_the_client_needs_nothing_at_run_time() -> None:
    package = json.loads((JS / "package.json").read_text())
    assert "dependencies" not in package
    assert package["peerDependenciesMeta"] == {name: {"optional": True} for name in package["peerDependencies"]}
