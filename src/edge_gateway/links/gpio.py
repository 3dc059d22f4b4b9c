"""Inputs of the board through the kernel's GPIO character device (ABI v2): opens lines, counts edges, reads levels; knows no meter and no door.

Layouts and request numbers are those of Linux ``include/uapi/linux/gpio.h`` (from 5.10 on); nothing but the standard library is
needed. Lines are requested as inputs only: this module cannot drive one.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Literal

from edge_gateway.errors import LinkDown

Bias = Literal["pull-up", "pull-down", "none"]
Edge = Literal["rising", "falling"]

#: struct gpio_v2_line_request: offsets[64], consumer, {flags, num_attrs, padding, attrs[10]}, num_lines, event_buffer_size, padding, fd
_REQUEST = struct.Struct("=64I32sQI20x240sII20xi")
#: struct gpio_v2_line_config_attribute of the one attribute used: {id, padding, debounce_period_us, padding}, mask
_DEBOUNCE = struct.Struct("=IIIIQ")
#: struct gpio_v2_line_event: timestamp_ns, id, offset, seqno, line_seqno, padding
_EVENT = struct.Struct("=QIIII24x")
#: struct gpio_v2_line_values: bits, mask
_VALUES = struct.Struct("=QQ")

GET_LINE_IOCTL = 0xC250B407
GET_VALUES_IOCTL = 0xC010B40E
_INPUT, _RISING, _FALLING = 1 << 2, 1 << 4, 1 << 5
_BIAS: dict[str, int] = {"pull-up": 1 << 8, "pull-down": 1 << 9, "none": 1 << 10}
_ATTR_DEBOUNCE = 3
_NAME = b"edge-gateway"
#: Events that the kernel should hold between two looks. When it drops some, their number still counts (see ``Edges``).
_BUFFER_EVENTS = 1024
_MOD = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """One input: the chip's device file, the line's number on it, how it is wired."""

    chip: str
    line: int
    bias: Bias = "pull-up"
    edge: Edge | None = None
    debounce_us: int = 0


def open_line(settings: LineSettings) -> int:
    """Request a line as input; a file descriptor, non-blocking. Raises LinkDown: no such chip or line, or it is taken."""
    flags = _INPUT | _BIAS[settings.bias]
    if settings.edge is not None:
        flags |= _RISING if settings.edge == "rising" else _FALLING
    attrs = _DEBOUNCE.pack(_ATTR_DEBOUNCE, 0, settings.debounce_us, 0, 1) if settings.debounce_us else b""
    offsets = [settings.line, *[0] * 63]
    request = bytearray(
        _REQUEST.pack(*offsets, _NAME, flags, 1 if attrs else 0, attrs, 1, _BUFFER_EVENTS if settings.edge else 0, 0)
    )
    try:
        chip = os.open(settings.chip, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        hint = "is it the right chip (gpioinfo), and the user in group gpio?"
        raise LinkDown(f"{settings.chip} cannot be opened: {error.strerror}", hint=hint) from error
    try:
        fcntl.ioctl(chip, GET_LINE_IOCTL, request)
    except OSError as error:
        why = f"line {settings.line} of {settings.chip} cannot be had: {error.strerror}"
        raise LinkDown(why, hint="gpioinfo says who has it") from error
    finally:
        os.close(chip)
    descriptor = int(_REQUEST.unpack(request)[-1])
    os.set_blocking(descriptor, False)
    return descriptor


class Edges:
    """Counts a line's edges by the kernel's own numbering: events that its buffer dropped are counted all the same.

    The kernel numbers a line's events from 1 (``line_seqno``, 32 bits); its buffer drops the oldest ones, so the newest
    number tells how many there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0
        self._newest = 0

    def drain(self, descriptor: int) -> int:
        """Take what waits; the number of edges since the line was opened. Raises LinkDown: the line is gone."""
        while True:
            try:
                data = os.read(descriptor, _EVENT.size * 64)
            except BlockingIOError:
                return self.count
            except OSError as error:
                raise LinkDown(f"the line is gone: {error.strerror}") from error
            if not data:
                return self.count
            for _, _, _, _, number in _EVENT.iter_unpack(data[: len(data) // _EVENT.size * _EVENT.size]):
                new = (number - self._newest) % _MOD
                self.count += new
                self.dropped += max(0, new - 1)
                self._newest = number


def level(descriptor: int) -> int:
    """1 while the line is active. Raises LinkDown."""
    values = bytearray(_VALUES.pack(0, 1))
    try:
        fcntl.ioctl(descriptor, GET_VALUES_IOCTL, values)
    except OSError as error:
        raise LinkDown(f"the line is gone: {error.strerror}") from error
    return int(_VALUES.unpack(values)[0]) & 1
