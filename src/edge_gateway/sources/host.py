"""The gateway's own health as points: clock, disk, memory, processor, supply, doors; it reads what the kernel says, and writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_gateway.clock import clock_error_us, kernel_synchronised
from edge_gateway.errors import LinkDown
from edge_gateway.links.gpio import Bias, LineSettings, level, open_line
from edge_gateway.profiles.local import LocalProfile, contact, host
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_LINK_DOWN, BAD_UNPARSED, GOOD, Value
from edge_gateway.sources.host_text import contact as contact_of
from edge_gateway.sources.host_text import figure
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_look import Found, Unread

_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"

Reading = tuple[Value, str]
#: What readings of the machine itself are called in the record.
TOPIC = "host"


class ContactSetting(BaseModel):
    """A contact on an input of the board: a door, a float switch, the mains relay."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chip: str = Field(default="/dev/gpiochip0", min_length=1, max_length=255, description="whose line: gpioinfo")
    line: int = Field(ge=0, le=1023, description="the line's number on the chip")
    bias: Bias = Field(default="pull-up", description="a contact to ground wants pull-up")
    closed: Literal[0, 1] = Field(default=1, description="what the point says while the contact is closed")


class HostConfig(LocalBus):
    """The machine that the gateway runs on. A device with ``contact`` is one contact; one without is the machine itself."""

    setting: ClassVar[str] = "contact"
    needs_setting: ClassVar[bool] = False

    kind: Literal["host"]
    disk: str = Field(
        default="/", min_length=1, max_length=255, description="a folder of the disk whose free space is told: the state folder's"
    )
    sys: str = Field(default="/sys", min_length=1, max_length=255, description="where the kernel shows its devices")
    proc: str = Field(default="/proc", min_length=1, max_length=255, description="where the kernel shows memory and uptime")

    def profile(self, setting: Any) -> LocalProfile:
        """Of the machine, or of a contact."""
        return host() if setting is None else contact()

    def place(self, setting: Any) -> str:
        """A line is one contact; the machine may be several devices, read at several intervals."""
        return "" if setting is None else f"line {setting.line} of {setting.chip}"

    def reader(self, kept: Kept | None, boot: str) -> HostReader:
        """Reads the kernel's files."""
        return HostReader(Path(self.disk), Path(self.sys), Path(self.proc))


class HostReader:
    """See ``local_look.Reader``. A channel that this machine cannot tell is bad alone; the others go on."""

    def __init__(self, disk: Path, sys: Path, proc: Path) -> None:
        self._disk, self._sys, self._proc = disk, sys, proc
        self._lines: dict[str, tuple[ContactSetting, int]] = {}
        #: channel -> the kernel's words; ``host_text`` says what they mean
        self._channels: dict[str, Callable[[], str]] = {
            "clock-synchronised": lambda: f"synchronised={int(kernel_synchronised())}",
            "clock-error": lambda: f"maxerror={clock_error_us()}",
            "disk-free": self._blocks,
            "memory-free": self._memory,
            "cpu-temperature": self._processor,
            "under-voltage": self._supply,
            "uptime": lambda: f"uptime={self._text(self._proc / 'uptime').split()[0]}",
        }

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Lines of contacts that went, or changed, are given back."""
        wanted = {device.id: device.setting for device in devices}
        for id_, (setting, descriptor) in list(self._lines.items()):
            if wanted.get(id_) != setting:
                os.close(descriptor)
                del self._lines[id_]

    def close(self) -> None:
        """Give back the lines."""
        self.open(())

    def read(self, device: DeviceSpec) -> Found:
        """A contact, or those of the machine's channels that points ask for. Raises Unread for a contact."""
        if device.setting is not None:
            return self._contact(device.id, device.setting)
        columns: dict[str, Reading] = {}
        said, lines = [], []
        for name in dict.fromkeys(point.channel for point in device.points):
            try:
                words = self._channels[name]()
                columns[name] = figure(name, words), GOOD
                lines.append(f"{name} {words}")
            except Unread as unread:
                columns[name] = None, unread.quality
                said.append(f"{name}: {unread.why}")
            except (ValueError, IndexError, KeyError, OSError, ZeroDivisionError) as error:  # a disk of no size: /proc
                columns[name] = None, BAD_UNPARSED
                said.append(f"{name}: {error}")
        if said and len(said) == len(columns):
            raise Unread(next(iter(columns.values()))[1], "; ".join(said))
        return Found(columns=columns, topic=TOPIC, text="\n".join(lines).encode(), said="; ".join(said))

    def _contact(self, id_: str, setting: ContactSetting) -> Found:
        try:
            if id_ not in self._lines:
                settings = LineSettings(chip=setting.chip, line=setting.line, bias=setting.bias)
                self._lines[id_] = setting, open_line(settings)
            high = level(self._lines[id_][1])
        except LinkDown as error:
            if id_ in self._lines:
                os.close(self._lines.pop(id_)[1])
            raise Unread(BAD_LINK_DOWN, str(error)) from error
        text = f"level={int(high)}"
        columns = {"contact": contact_of(text, setting.bias, setting.closed)}
        return Found(columns=columns, topic=f"{setting.chip} {setting.line}", text=text.encode())

    # --- the machine's channels: the kernel's words, or Unread -----------------------------------------------------

    def _blocks(self) -> str:
        """Blocks that the gateway's user may still take, and all."""
        stat = os.statvfs(self._disk)
        return f"f_bavail={stat.f_bavail} f_blocks={stat.f_blocks}"

    def _memory(self) -> str:
        """What programs may still take, and all."""
        known = {}
        for line in self._text(self._proc / "meminfo").splitlines():
            name, _, rest = line.partition(":")
            known[name] = rest
        if "MemAvailable" not in known or "MemTotal" not in known:
            raise Unread(BAD_UNPARSED, "meminfo has no MemAvailable")
        return " ".join(f"{name}={known[name].split()[0]}" for name in ("MemAvailable", "MemTotal"))

    def _processor(self) -> str:
        """The first thermal zone of the processor."""
        zones = sorted((self._sys / "class/thermal").glob("thermal_zone*"))
        for zone in zones:
            with suppress(Unread):
                if "cpu" in self._text(zone / "type") or len(zones) == 1:
                    return f"temp={self._text(zone / 'temp')}"
        raise Unread(BAD_LINK_DOWN, "this machine has no thermal zone of a processor")

    def _supply(self) -> str:
        """Whether the supply is too low: the kernel's rpi_volt (which looks every 2 s), else the firmware's own word."""
        for folder in sorted((self._sys / "class/hwmon").glob("hwmon*")):
            with suppress(Unread):
                if self._text(folder / "name") == "rpi_volt":
                    return f"alarm={self._text(folder / 'in0_lcrit_alarm')}"
        file = self._sys / _THROTTLED
        if file.exists():
            return f"throttled={self._text(file)}"
        raise Unread(BAD_LINK_DOWN, "this machine does not watch its supply (no rpi_volt)")

    def _text(self, file: Path) -> str:
        try:
            return file.read_text("ascii", "replace").strip()
        except OSError as error:
            raise Unread(BAD_LINK_DOWN, f"{file} cannot be read: {error.strerror}") from error
