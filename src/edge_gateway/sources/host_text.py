"""What the kernel's words about the gateway's own machine mean, as figures and contacts; pure: opens no file and no line.

The words of each reading stand in the record beside it, one line a channel: ``<channel> <name>=<number> …``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_gateway.reading import GOOD, Value

#: Bit 0 of the firmware's word: under-voltage now (Raspberry Pi documentation, vcgencmd get_throttled).
_UNDER_VOLTAGE_NOW = 1

_Words = Mapping[str, str]
_FIGURES: dict[str, Callable[[_Words], float]] = {
    "clock-synchronised": lambda w: int(w["synchronised"]),
    "clock-error": lambda w: int(w["maxerror"]) / 1e6,  # µs: adjtimex(2)
    "disk-free": lambda w: int(w["f_bavail"]) / int(w["f_blocks"]) * 100,  # statvfs(3)
    "memory-free": lambda w: int(w["MemAvailable"]) / int(w["MemTotal"]) * 100,  # Linux Documentation/filesystems/proc.rst
    "cpu-temperature": lambda w: int(w["temp"]) / 1000,  # m°C: Documentation/driver-api/thermal/sysfs-api.rst
    "under-voltage": lambda w: int(w["alarm"]) if "alarm" in w else int(w["throttled"], 16) & _UNDER_VOLTAGE_NOW,
    "uptime": lambda w: float(w["uptime"]),
}


def figure(channel: str, words: str) -> float:
    """A channel's figure, to nine significant digits. Raises KeyError, ValueError, ZeroDivisionError: the words do not tell it."""
    told = dict(word.split("=", 1) for word in words.split())
    return float(f"{_FIGURES[channel](told):.9g}")


def figures(text: str) -> dict[str, tuple[Value, str]]:
    """All channels of a reading's text, as ``figure``."""
    lines = (line.partition(" ") for line in text.splitlines())
    return {channel: (figure(channel, words), GOOD) for channel, _, words in lines}


def contact(text: str, bias: str, closed: int) -> tuple[Value, str]:
    """The point of a contact whose line is at ``level=0`` or ``1``: one to ground pulls the line low. Raises ValueError."""
    levels = {"level=0": False, "level=1": True}
    if text not in levels:
        raise ValueError(f"no level: {text!r}")
    return (closed if levels[text] == (bias == "pull-down") else 1 - closed), GOOD
