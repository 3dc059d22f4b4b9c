"""Bytes written to storage, as the kernel counts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_gateway.links.wear import written_bytes


def test_what_is_thrown_away_before_it_is_written_does_not_count(tmp_path: Path) -> None:
    place = tmp_path / "io"
    place.write_text("rchar: 1\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: 0\nwrite_bytes: 12288\ncancelled_write_bytes: 4096\n")
    assert written_bytes(place) == 8192


@pytest.mark.parametrize("text", ["", "write_bytes: many\ncancelled_write_bytes: 0\n", "wchar: 1\n"])
def test_where_the_kernel_does_not_say_it_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "io").write_text(text)
    assert written_bytes(tmp_path / "io") is None
    assert written_bytes(tmp_path / "nothing") is None


def test_it_is_the_kernels_count_of_this_process(tmp_path: Path) -> None:
    """A process of its own writes 8 MiB and syncs them: it counts those, on storage that is none of memory only."""
    program = (
        "import os, sys\nfrom edge_gateway.links.wear import written_bytes\nbefore = written_bytes()\n"
        "with open(sys.argv[1], 'wb') as f:\n    f.write(os.urandom(8 << 20)); f.flush(); os.fsync(f.fileno())\n"
        "after = written_bytes()\nprint(-1 if before is None or after is None else after - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], capture_output=True, text=True, check=True, env=dict(os.environ))
    counted = int(done.stdout)
    if counted <= 0:
        pytest.skip("this kernel, or this file system, does not count writes")
    assert 8 << 20 <= counted < 10 << 20
