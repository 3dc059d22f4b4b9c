"""The program behind PacedLine: opens two terminals and carries bytes between them at a baud rate, as a UART would.

Usage: python -m tests.servers.paced_pump LINK_A LINK_B BAUD BITS_PER_BYTE
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty
from collections import deque
from contextlib import suppress
from pathlib import Path

# Waking for every byte at 115200 baud would eat a core; a real UART hands bytes over in small groups too.
_SHORTEST_SLEEP_S = 0.001


class Direction:
    """Bytes on their way from one terminal to the other, each with the instant at which its last bit has arrived."""

    def __init__(self, source: int, target: int, byte_s: float) -> None:
        self.source = source
        self.target = target
        self._byte_s = byte_s
        self._wire: deque[tuple[float, int]] = deque()
        self._wire_free_at = 0.0

    def take(self, now: float) -> None:
        """Read what was sent and put it on the wire behind what is there."""
        for value in os.read(self.source, 4096):
            self._wire_free_at = max(self._wire_free_at, now) + self._byte_s
            self._wire.append((self._wire_free_at, value))

    def deliver(self, now: float) -> float | None:
        """Write every byte that has arrived; the instant of the next one, if any is under way."""
        arrived = bytearray()
        while self._wire and self._wire[0][0] <= now:
            arrived.append(self._wire.popleft()[1])
        if arrived:
            # Nobody reads at the far end: the terminal's buffer is full and a real line would lose the bytes too.
            with suppress(BlockingIOError):
                os.write(self.target, arrived)
        return self._wire[0][0] if self._wire else None


def _open(link: Path) -> int:
    # The slave end stays open here, so that the master reads on when a client closes and opens again.
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    beside = link.with_name(link.name + ".new")
    beside.symlink_to(os.ttyname(slave))
    beside.rename(link)
    return master


def main(arguments: list[str]) -> None:
    """Run until a signal ends it."""
    link_a, link_b, baud, bits = Path(arguments[0]), Path(arguments[1]), int(arguments[2]), int(arguments[3])
    masters = _open(link_a), _open(link_b)
    byte_s = bits / baud
    directions = {
        masters[0]: Direction(masters[0], masters[1], byte_s),
        masters[1]: Direction(masters[1], masters[0], byte_s),
    }
    while True:
        now = time.monotonic()
        due = [at for at in (direction.deliver(now) for direction in directions.values()) if at is not None]
        wait_s = max(min(due) - now, _SHORTEST_SLEEP_S) if due else None
        readable, _, _ = select.select(list(directions), (), (), wait_s)
        now = time.monotonic()
        for master in readable:
            directions[master].take(now)


if __name__ == "__main__":
    main(sys.argv[1:])
