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
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_look import Found, Unread

#: Bit 0 of the firmware's word: under-voltage now (Raspberry Pi documentation, vcgencmd get_throttled).
_UNDER_VOLTAGE_NOW = 1
_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"

Reading = tuple[Value, str]


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
        self._channels: dict[str, Callable[[], float]] = {
            "clock-synchronised": lambda: int(kernel_synchronised()),
            "clock-error": lambda: clock_error_us() / 1e6,
            "disk-free": self._disk_free,
            "memory-free": self._memory_free,
            "cpu-temperature": self._cpu_temperature,
            "under-voltage": self._under_voltage,
            "uptime": lambda: float(self._text(self._proc / "uptime").split()[0]),
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
        said = []
        for name in dict.fromkeys(point.channel for point in device.points):
            try:
                columns[name] = float(f"{self._channels[name]():.9g}"), GOOD
            except Unread as unread:
                columns[name] = None, unread.quality
                said.append(f"{name}: {unread.why}")
            except (ValueError, IndexError, OSError, ZeroDivisionError) as error:  # a disk of no size: /proc
                columns[name] = None, BAD_UNPARSED
                said.append(f"{name}: {error}")
        if said and len(said) == len(columns):
            raise Unread(next(iter(columns.values()))[1], "; ".join(said))
        return Found(columns=columns, said="; ".join(said))

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
        closed = high == (setting.bias == "pull-down")  # a contact to ground pulls the line low
        return Found(columns={"contact": (setting.closed if closed else 1 - setting.closed, GOOD)})

    # --- the machine's channels: each a number, or Unread ----------------------------------------------------------

    def _disk_free(self) -> float:
        """% of the disk that the gateway's user may still take."""
        stat = os.statvfs(self._disk)
        return stat.f_bavail / stat.f_blocks * 100

    def _memory_free(self) -> float:
        """% of the memory that programs may still take (MemAvailable, Linux Documentation/filesystems/proc.rst)."""
        known = {}
        for line in self._text(self._proc / "meminfo").splitlines():
            name, _, rest = line.partition(":")
            known[name] = rest
        if "MemAvailable" not in known or "MemTotal" not in known:
            raise Unread(BAD_UNPARSED, "meminfo has no MemAvailable")
        return int(known["MemAvailable"].split()[0]) / int(known["MemTotal"].split()[0]) * 100

    def _cpu_temperature(self) -> float:
        """°C of the first thermal zone of the processor (Documentation/driver-api/thermal/sysfs-api.rst: m°C)."""
        zones = sorted((self._sys / "class/thermal").glob("thermal_zone*"))
        for zone in zones:
            with suppress(Unread):
                if "cpu" in self._text(zone / "type") or len(zones) == 1:
                    return int(self._text(zone / "temp")) / 1000
        raise Unread(BAD_LINK_DOWN, "this machine has no thermal zone of a processor")

    def _under_voltage(self) -> float:
        """1 while the supply is too low: the kernel's rpi_volt (which looks every 2 s), else the firmware's own word."""
        for folder in sorted((self._sys / "class/hwmon").glob("hwmon*")):
            with suppress(Unread):
                if self._text(folder / "name") == "rpi_volt":
                    return int(self._text(folder / "in0_lcrit_alarm"))
        file = self._sys / _THROTTLED
        if file.exists():
            return int(self._text(file), 16) & _UNDER_VOLTAGE_NOW
        raise Unread(BAD_LINK_DOWN, "this machine does not watch its supply (no rpi_volt)")

    def _text(self, file: Path) -> str:
        try:
            return file.read_text("ascii", "replace").strip()
        except OSError as error:
            raise Unread(BAD_LINK_DOWN, f"{file} cannot be read: {error.strerror}") from error
