"""One JSON line a campaign's run in ``bench/results/<target>.jsonl``, so that N adds up over runs; judges nothing itself."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "bench" / "results"


def append(target: str, result: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Add ``result`` (its ``n``, ``seed``, counts, ``planted``, ``seconds``) with the day, the commit and the machine.

    A run over sources that were changed since their commit says so: its line proves nothing about that commit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}.jsonl"
    line = {"target": target, "day": datetime.now(UTC).date().isoformat(), "commit": commit(), **result, "machine": machine()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def total(target: str, folder: Path = FOLDER) -> int:
    """N over all kept runs that passed."""
    path = folder / f"{target}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sum(int(run["n"]) for run in map(json.loads, lines) if run.get("passed", True))


def commit() -> str:
    """The short hash, with ``+`` where ``src`` or ``tests`` differ from it; "" outside a clone."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "src", "tests") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> str:
    """Cores, processor, kernel and Python: what a reader needs to judge a rate."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith(("model name", "Model"))]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
