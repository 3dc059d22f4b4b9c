"""A 32 MB file system, filled and freed: nothing acknowledged is lost, the reserve serves, it resumes by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o size=32m tmpfs "$1" && exec "$2" -m tests.faults.full "$1"'


@pytest.mark.campaign
def test_a_small_disk_is_filled_and_freed(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    done = subprocess.run(
        [*namespace, "sh", "-c", MOUNT, "sh", str(folder), sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["lost"], result["altered"]) == (0, 0)
    assert result["rounds"] == 6
    assert result["refused"] >= 6
    assert result["from_reserve"] == 240
    assert result["freed_segments"] > 0
    assert result["slowest_resume_s"] < 10
    assert result["acknowledged"] > 10_000
