"""What this process has written to storage, by the kernel's word; knows nothing of what was written.

``write_bytes`` of ``/proc/self/io`` (proc_pid_io(5)): bytes that this process caused to be sent to the storage layer, counted as pages
are made dirty, less those that were thrown away before they were written. Not in it: the file system's own journal, and what the
card writes beside (its write amplification). A file on tmpfs counts nothing.
"""

from __future__ import annotations

from pathlib import Path

PLACE = Path("/proc/self/io")


def written_bytes(place: Path = PLACE) -> int | None:
    """Since the process began; None where the kernel does not count, or does not say."""
    try:
        counts = dict(line.split(": ") for line in place.read_text("ascii").splitlines())
        return int(counts["write_bytes"]) - int(counts["cancelled_write_bytes"])
    except (OSError, ValueError, KeyError):
        return None
