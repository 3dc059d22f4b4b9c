"""Temperature probes on the kernel's 1-Wire bus: configuration and reading; what a text means says ``onewire_text``."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from edge_gateway.profiles.local import LocalProfile, ds18b20
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_FRAME, BAD_LINK_DOWN, BAD_NO_ANSWER, FRESH_INTERVALS, GOOD
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_look import Found, Unread
from edge_gateway.sources.onewire_text import temperature

#: Probes that a message names.
MOST_NAMED = 20

_PROBE = re.compile(r"^(10|22|28|3b|42)-[0-9a-f]{12}$")


def _number(text: str) -> str:
    if not _PROBE.match(text):
        hint = 'write it as its folder in /sys/bus/w1/devices is named, such as "28-0316a2794eff"'
        raise ValueError(f'"{text}" is no probe\'s number; {hint}')
    return text


#: A probe's serial number as the kernel writes it: family code, dash, 48 bits.
Probe = Annotated[str, AfterValidator(_number), Field(max_length=64)]


class OneWireConfig(LocalBus):
    """The kernel's 1-Wire bus (``dtoverlay=w1-gpio``). One probe is read at a time; each takes up to 0.75 s."""

    setting: ClassVar[str] = "probe"
    #: 12 bits: 750 ms (data sheet 19-7487 Rev 6, tCONV), and the bus' own bits around it.
    takes_s: ClassVar[float] = 0.8

    kind: Literal["onewire"]
    path: str = Field(
        default="/sys/bus/w1/devices", min_length=1, max_length=255, description="where the kernel shows its probes"
    )
    timeout_s: float = Field(
        default=5.0, ge=0.1, le=60, description="a reading that takes longer is given up; two conversions take 1.5 s"
    )

    def profile(self, setting: Any) -> LocalProfile:
        """One channel, ``temperature``."""
        return ds18b20()

    def place(self, setting: Any) -> str:
        """A probe is one device."""
        return str(setting)

    def reader(self, kept: Kept | None, boot: str) -> OneWireReader:
        """Reads ``<path>/<probe>/w1_slave``."""
        return OneWireReader(Path(self.path))

    def most_s(self) -> float:
        """As configured."""
        return self.timeout_s


class OneWireReader:
    """See ``local_look.Reader``. Remembers each probe's last good temperature, to tell 85 °C from a power-on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._good: dict[str, tuple[float, float]] = {}  # probe -> °C, when (s, real monotonic)
        self._ours: set[str] = set()
        #: probes on the bus that no device names, as of the last reading
        self.strangers: tuple[str, ...] = ()

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Nothing is held open: each opening of the file starts a conversion."""
        self._ours = {str(device.setting) for device in devices}

    def close(self) -> None:
        """Nothing is held open."""

    def read(self, device: DeviceSpec) -> Found:
        """One conversion; one more when the checksum did not match. Raises Unread."""
        self.strangers = tuple(each for each in self._there() if each not in self._ours)[:MOST_NAMED]
        probe = str(device.setting)
        family = int(probe[:2], 16)
        text = self._text(probe)
        value, quality, why = temperature(text, family, self._fresh(probe, device))
        if quality == BAD_FRAME:
            text = self._text(probe)
            value, quality, why = temperature(text, family, self._fresh(probe, device))
        if quality == BAD_NO_ANSWER:
            raise Unread(quality, why)
        if quality == GOOD and value is not None:
            self._good[probe] = value, time.monotonic()
        columns = {"temperature": (value, quality)}
        return Found(columns=columns, topic=f"{probe}/w1_slave", text=text.encode(), said=why)

    def _there(self) -> list[str]:
        """The probes that the kernel shows now (it has a bound of its own: ``max_slave_count``, 64)."""
        try:
            return sorted(each.name for each in self._folder.iterdir() if _PROBE.match(each.name))
        except OSError:  # no bus: the reading says so
            return []

    def _fresh(self, probe: str, device: DeviceSpec) -> float | None:
        value, when_s = self._good.get(probe, (None, 0.0))
        return value if time.monotonic() - when_s <= FRESH_INTERVALS * device.interval_us / 1e6 else None

    def _text(self, probe: str) -> str:
        try:
            return (self._folder / probe / "w1_slave").read_text("ascii", "replace")
        except FileNotFoundError:
            if not self._folder.is_dir():
                why = f"{self._folder} is missing: the kernel has no 1-Wire bus (dtoverlay=w1-gpio in config.txt)"
                raise Unread(BAD_LINK_DOWN, why) from None
            there = self._there()
            found = f"there are {', '.join(there[:MOST_NAMED])}" if there else "there is none at all: wiring, pull-up, pin?"
            raise Unread(BAD_NO_ANSWER, f"probe {probe} is not on the bus; {found}") from None
        except OSError as error:
            raise Unread(BAD_NO_ANSWER, f"probe {probe} cannot be read: {error.strerror}") from error
