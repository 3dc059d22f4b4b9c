"""Units that nobody documented, on a pseudo terminal in real time: each hears only its own baud rate, and answers at that pace.

The rate is what the program at the other end set (a pseudo terminal tells it). It refuses parity: units here have none, and
what needs parity is tested on ``sim_bus``. Every function code that a unit sees is counted, and writing ones are told: see ``write_ledger``.
"""

from __future__ import annotations

import asyncio
import os
import termios
import threading
import tty
from collections import Counter
from typing import Self

from edge_gateway.links.modbus_pdu import crc16
from tests.servers.sim_bus import SimUnit
from tests.servers.write_ledger import saw

_RATES = {getattr(termios, f"B{baud}"): baud for baud in (2400, 4800, 9600, 19200, 38400, 57600, 115200)}
#: Bytes that come closer than this belong together: what one write sends comes at once.
_GAP_S = 0.002


class UnknownBus:
    """``path`` is the gateway's end. A context manager; the units live in a thread of their own."""

    def __init__(self, units: list[SimUnit]) -> None:
        self.units = units
        self.functions: Counter[int] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._near, self._far = os.openpty()
        tty.setraw(self._near)
        tty.setraw(self._far)  # kept open: the line stays alive while nobody has it open
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def say(self, data: bytes) -> None:
        """Bytes of somebody else on the line."""
        self._loop.call_soon_threadsafe(os.write, self._near, data)

    def _readable(self) -> None:
        self._buffer += os.read(self._near, 4096)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_GAP_S, self._frame)

    def _frame(self) -> None:
        frame, self._buffer = self._buffer, b""
        baud = _RATES.get(termios.tcgetattr(self._near)[5], 0)
        if len(frame) < 4 or crc16(frame[:-2]) != frame[-2:] or not baud:
            return
        for unit in self.units:
            if (unit.baud, unit.address) == (baud, frame[0]):
                saw("unknown-bus", frame[0], frame[1:-2])
                self.functions[frame[1]] += 1
                saw("unknown-bus", unit.address, frame[1:-2])
                reply = unit.answer(frame[1:-2])
                if reply is not None:
                    answer = frame[:1] + reply
                    answer += crc16(answer)
                    delay_s = (len(frame) + len(answer)) * 10 / baud + unit.turnaround_s
                    self._loop.call_later(delay_s, os.write, self._near, answer)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._near, self._readable)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.remove_reader, self._near)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        os.close(self._near)
        os.close(self._far)
