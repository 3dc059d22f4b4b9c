"""Pulse meters (water, energy) on a counter of the kernel or an input of the board: configuration and reading, with totals that last.

The kernel counts, this module only looks: between two looks nothing is lost while the machine runs. What survives what is
said in docs/reference/local-sources.md. Totals are journaled with each reading (``keep``) and found again after a restart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_gateway.errors import LinkDown
from edge_gateway.links.gpio import Bias, Edge, Edges, LineSettings, open_line
from edge_gateway.profiles.local import LocalProfile, pulse_meter
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_LINK_DOWN, BAD_MISSING
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_look import Found, Unread
from edge_gateway.sources.pulse_total import Total, advance, quantity

CounterPath = Annotated[str, Field(pattern=r"^counter[0-9]+/count[0-9]+$")]


class PulseSetting(BaseModel):
    """One meter: where its pulses are counted, and what a pulse is worth."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    line: int | None = Field(default=None, ge=0, le=1023, description="the line's number on the bus' chip")
    count: CounterPath | None = Field(default=None, description='a counter of the kernel, such as "counter0/count0"')
    unit: Literal["m3", "L", "kW.h", "W.h", "1"] = Field(description="of the total")
    per_pulse: float = Field(
        default=1.0, gt=0, le=1e6, description="how much a pulse is, in this unit: on the meter's plate"
    )
    start: float = Field(default=0.0, ge=0, le=1e12, description="what the meter showed when the counting began")
    edge: Edge = Field(default="falling", description="which edge of the line is a pulse")
    bias: Bias = Field(default="pull-up", description="of the line: a reed contact to ground wants pull-up")
    debounce_ms: float = Field(default=5.0, ge=0, le=1000, description="of the line: a reed contact bounces for 1 to 3 ms")

    @model_validator(mode="after")
    def _one_place(self) -> PulseSetting:
        if (self.line is None) == (self.count is None):
            raise ValueError("a pulse is counted at one place; give either 'line' or 'count'")
        return self


class PulseConfig(LocalBus):
    """Pulse meters at this machine: on a GPIO chip's lines, or on the kernel's counters."""

    setting: ClassVar[str] = "pulse"

    kind: Literal["pulse"]
    chip: str = Field(
        default="/dev/gpiochip0", min_length=1, max_length=255, description="whose lines; on a Raspberry Pi 5 gpiochip4 or 0"
    )
    path: str = Field(
        default="/sys/bus/counter/devices", min_length=1, max_length=255, description="where the kernel shows its counters"
    )

    def profile(self, setting: Any) -> LocalProfile:
        """``total`` in the setting's unit, and ``pulses``."""
        return pulse_meter(setting.unit)

    def place(self, setting: Any) -> str:
        """A line or counter is one meter."""
        return f"line {setting.line}" if setting.count is None else str(setting.count)

    def reader(self, kept: Kept | None, boot: str) -> PulseReader:
        """Counts on from what the journal kept."""
        return PulseReader(self.chip, Path(self.path), kept, boot)


class PulseReader:
    """See ``local_look.Reader``. Holds the lines open, and each meter's total; without ``kept`` there is none to tell."""

    def __init__(self, chip: str, folder: Path, kept: Kept | None, boot: str) -> None:
        self._chip, self._folder, self._boot = chip, folder, boot
        self._alone = kept is None
        found = ((device, Total.of(keep)) for device, keep in (kept or {}).items())
        self._totals = {device: total for device, total in found if total is not None}
        self._lines: dict[str, tuple[PulseSetting, int, Edges, str]] = {}
        self._opened = 0

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Lines of devices that went, or changed, are given back."""
        wanted = {device.id: device.setting for device in devices}
        for id_, (setting, descriptor, edges, life) in list(self._lines.items()):
            if wanted.get(id_) == setting:
                continue
            with suppress(LinkDown):  # what came since the last look goes to the source that follows
                self._totals[id_], _ = advance(self._totals.get(id_), edges.drain(descriptor), life)
            os.close(descriptor)
            del self._lines[id_]

    def close(self) -> None:
        """Give back the lines."""
        self.open(())

    def memory(self) -> Mapping[str, Mapping[str, Any]]:
        """Totals as they are now, for the source that follows: the newest ones may still be on their way to the journal."""
        return {device: total.keep() for device, total in self._totals.items()}

    def read(self, device: DeviceSpec) -> Found:
        """Look at the counter; the total stands as it was until ``recorded``. Raises Unread: it cannot be read."""
        setting: PulseSetting = device.setting
        if self._alone:
            raise Unread(BAD_MISSING, "its total is the running gateway's: start it, or see `export`")
        count, life, said = self._count(device.id, setting)
        total, mark = advance(self._totals.get(device.id), count, life)
        value = quantity(total.pulses, setting.per_pulse, setting.start)
        columns = {"total": (value, mark), "pulses": (total.pulses, mark)}
        return Found(columns=columns, keep=total.keep(), said=said)

    def recorded(self, device: DeviceSpec, found: Found) -> None:
        """What was found goes into the record: the next look begins with it, and a counter that began anew was told."""
        if (total := Total.of(found.keep or {})) is not None:
            self._totals[device.id] = total

    def _count(self, id_: str, setting: PulseSetting) -> tuple[int, str, str]:
        """What the counter shows, and which life of it that is."""
        if setting.count is not None:
            return self._counter(setting.count), self._boot, ""
        try:
            _, descriptor, edges, life = self._line(id_, setting)
            count = edges.drain(descriptor)
        except LinkDown as error:
            held = self._lines.pop(id_, None)
            if held is not None:
                os.close(held[1])
            raise Unread(BAD_LINK_DOWN, str(error)) from error
        said = f"{edges.dropped} edges were more than the kernel's buffer held; they are counted" if edges.dropped else ""
        return count, life, said

    def _line(self, id_: str, setting: PulseSetting) -> tuple[PulseSetting, int, Edges, str]:
        held = self._lines.get(id_)
        if held is None:
            settings = LineSettings(
                chip=self._chip,
                line=int(setting.line or 0),
                bias=setting.bias,
                edge=setting.edge,
                debounce_us=int(setting.debounce_ms * 1000),
            )
            self._opened += 1
            life = f"{self._boot}/{os.getpid()}/{self._opened}"
            held = self._lines[id_] = (setting, open_line(settings), Edges(), life)
        return held

    def _counter(self, count: str) -> int:
        file = self._folder / count / "count"
        try:
            return int(file.read_text("ascii"))
        except FileNotFoundError:
            why = f"{file} is missing: no such counter (dtoverlay and driver: interrupt-counter)"
            raise Unread(BAD_LINK_DOWN, why) from None
        except (OSError, ValueError) as error:
            raise Unread(BAD_LINK_DOWN, f"{file} cannot be read: {error}") from error
