"""What is installed of the peers, and in which versions: in environments of their own, for Python and for Node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from benchmarks.serving import NODE_PEERS, PEERS, node_binary

_ASK = "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
_NODE_PACKAGES = NODE_PEERS / "node_modules"


def has_python_peers() -> bool:
    """Whether ``python3 dev.py bench`` could install them."""
    return PEERS.exists()


def has_node_peers() -> bool:
    """The same for Node's."""
    return (_NODE_PACKAGES / ".stamp").exists()


def versions_in_python(*names: str) -> dict[str, str]:
    """As they are in the environment of the peers; nothing where there is none."""
    if not has_python_peers():
        return {}
    told = _said([str(PEERS), "-c", _ASK, *names])
    return {f"{name} (peers)": each for name, each in zip(names, json.loads(told), strict=True)}


def versions_in_node(*names: str) -> dict[str, str]:
    """Those of Node itself and of packages there; nothing where they are not installed."""
    if not has_node_peers():
        return {}
    files = {name: _NODE_PACKAGES / name / "package.json" for name in names}
    found = {f"{name} (Node)": json.loads(file.read_text())["version"] for name, file in files.items()}
    return {"node": _said([node_binary(), "--version"]).strip().removeprefix("v"), **found}


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout
