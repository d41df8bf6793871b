"""``python -m benchmarks [NAME ...] [--quick]``: each file beside this one is a benchmark, with a ``main(run)``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.measuring import ROOT, Run

NAMES = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if "def main(run: Run)" in file.read_text())


def main(arguments: list[str]) -> int:
    """Run those that are named, or all."""
    wanted = [name for name in arguments if name != "--quick"]
    if not set(wanted) <= set(NAMES):
        print(f"There are {', '.join(NAMES)}; and --quick.", file=sys.stderr)
        return 2
    # What is measured in a hurry is nothing to publish.
    run = Run(quick=True, folder=ROOT / ".dev" / "benchmarks") if "--quick" in arguments else Run()
    # Out of what all of them have left, so it comes last.
    for name in [*(name for name in wanted or NAMES if name != "summary"), "summary"]:
        import_module(f"benchmarks.{name}").main(run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
