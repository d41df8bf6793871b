"""The model checker Spin, run over a model of ``models/`` until every state has been visited or a rule is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"
SECONDS = 60
MEBIBYTES = 1024
DEEPEST = 20_000
ROOM = 21  # the logarithm of the size of the table of states

# Compiles a model in a hundredth of a second, gcc in half of one.
QUICK = ("tcc",) if shutil.which("tcc") else ("gcc", "-O0")

MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
needs_the_checker = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: apt-get install spin gcc libc6-dev)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an exhaustive search came to.

    Args:
        errors: how many violations it stopped at: none or one.
        broken: the text of the assertion that does not hold, or nothing.
        complete: whether every state was visited, within depth and memory.
        report: all that the checker wrote.
    """

    errors: int
    broken: str
    complete: bool
    report: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model, by the name of its file."""

    name: str

    def search(self, folder: Path, choice: str, *, compiler: tuple[str, ...] = ("gcc", "-Og")) -> Verdict:
        """Visit every state of the model, or stop at the first that breaks a rule.

        Args:
            folder: an empty one to compile in.
            choice: words of the model, with blanks between them: ``"KEYED UP=2 DOWN=0"``.
            compiler: the command; one that does not optimise is quicker where a violation is near.
        """
        defines = [f"-D{word}" for word in choice.split()]
        source = shutil.copy(MODELS / self.name, folder)
        spin = ["spin", "-a", *defines, Path(source).name]
        # No reduction: it gains nothing where every step touches what all share, and a full search claims more.
        limit = f"-DMEMLIM={MEBIBYTES}"
        compiling = [*compiler, "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", limit, "-o", "pan", "pan.c"]
        for command in (spin, compiling):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        pan = [str(folder / "pan"), f"-m{DEEPEST}", f"-w{ROOM}", "-n"]
        done = subprocess.run(pan, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        report = done.stdout + done.stderr
        counted = re.search(r"errors: (\d+)", report)
        assert counted is not None, report
        broken = re.search(r"assertion violated (.*) \(at depth", report)
        truncated = ("max search depth too small", "out of memory", "memory bound", "MEMLIM", "Search not completed")
        return Verdict(
            errors=int(counted[1]),
            broken=broken[1] if broken else "",
            complete=not any(sign in report for sign in truncated),
            report=report,
        )

    def holds(self, folder: Path, choice: str) -> None:
        """No interleaving breaks a rule, and all of them were seen."""
        verdict = self.search(folder, choice)
        assert verdict.errors == 0, verdict.report
        assert verdict.complete, verdict.report

    def breaks(self, folder: Path, choice: str, rule: str) -> None:
        """Some interleaving breaks this rule."""
        verdict = self.search(folder, choice, compiler=QUICK)
        assert verdict.errors > 0, verdict.report
        assert verdict.broken.endswith(f"||{rule})"), verdict.report
