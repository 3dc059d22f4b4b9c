"""4-20 mA loops on a converter that the kernel knows (Industrial I/O): configuration and reading; what a current means says ``loop_current``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge_gateway.profiles.local import LocalProfile, current_loop
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_LINK_DOWN, BAD_NO_ANSWER, BAD_RANGE, BAD_UNPARSED, GOOD
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_look import Found, Unread
from edge_gateway.sources.loop_current import EndOfScale, readings, told
from edge_gateway.units import QUANTITIES

_INPUT = re.compile(r"^(voltage|current)[0-9]+(-voltage[0-9]+)?$")


def _input(text: str) -> str:
    if not _INPUT.match(text):
        hint = 'write the channel as the kernel names it, such as "voltage0", "voltage0-voltage1" or "current0"'
        raise ValueError(f'"{text}" is no input; {hint}')
    return text


class LoopSetting(BaseModel):
    """One loop: its input, the shunt it flows through, and what 4 and 20 mA stand for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    input: Annotated[str, AfterValidator(_input), Field(max_length=32)] = Field(
        description='the channel as the kernel names it: in_<input>_raw, such as "voltage0"'
    )
    shunt_ohm: float | None = Field(
        default=None, gt=0, le=10_000, description="the resistor that a voltage input measures across; none for a current input"
    )
    quantity: str = Field(max_length=32, description="what is measured: level, pressure, flow, temperature, …")
    unit: str = Field(max_length=16, description="of the value, a UCUM code")
    low: float = Field(description="the value at 4 mA")
    high: float = Field(description="the value at 20 mA; may be the smaller one")

    @model_validator(mode="after")
    def _sound(self) -> LoopSetting:
        quantity = QUANTITIES.get(self.quantity)
        if quantity is None:
            raise ValueError(f"unknown quantity '{self.quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        if self.unit not in quantity.units:
            raise ValueError(f"{self.quantity} is not measured in '{self.unit}'; write one of {', '.join(quantity.units)}")
        if self.low == self.high:
            raise ValueError("4 and 20 mA cannot stand for the same value; write the span on the transmitter's plate")
        if (self.shunt_ohm is None) != self.input.startswith("current"):
            raise ValueError("a voltage input needs 'shunt_ohm', a current input has none; change one of the two")
        return self


class IioConfig(LocalBus):
    """An analogue converter of this machine, as the kernel's Industrial I/O shows it (ADS1115, MCP3424, …)."""

    setting: ClassVar[str] = "loop"

    kind: Literal["iio"]
    device: str = Field(
        min_length=1, max_length=64, description="the converter, by the text in its file name or label: cat iio:device*/name"
    )
    path: str = Field(
        default="/sys/bus/iio/devices", min_length=1, max_length=255, description="where the kernel shows its converters"
    )

    def profile(self, setting: Any) -> LocalProfile:
        """``value`` on the loop's span, and ``current`` (mA)."""
        return current_loop(setting.quantity, setting.unit)

    def place(self, setting: Any) -> str:
        """An input is one loop."""
        return f"input {setting.input}"

    def reader(self, kept: Kept | None, boot: str) -> IioReader:
        """Reads ``in_<input>_raw`` with its scale and offset."""
        return IioReader(Path(self.path), self.device)


class IioReader:
    """See ``local_look.Reader``. Finds the converter by its name: numbers change with the order of drivers."""

    def __init__(self, folder: Path, device: str) -> None:
        self._folder, self._device = folder, device

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""

    def read(self, device: DeviceSpec) -> Found:
        """One conversion. Raises Unread."""
        setting: LoopSetting = device.setting
        folder = self._converter()
        raw_text = self._text(folder / f"in_{setting.input}_raw")
        kind = setting.input.partition("-")[0].rstrip("0123456789")
        scale_text = self._either(folder, setting.input, kind, "scale")
        offset_text = self._either(folder, setting.input, kind, "offset")
        if scale_text is None:
            raise Unread(BAD_LINK_DOWN, f"{folder.name} has no scale for input {setting.input}")
        text = told(raw_text, scale_text, offset_text)
        try:
            columns = readings(text, (setting.low, setting.high), setting.shunt_ohm)
        except EndOfScale:
            why = f"input {setting.input} of {folder.name} is at the end of its scale: the shunt or the gain is too large"
            raise Unread(BAD_RANGE, why) from None
        except (ValueError, OverflowError):
            raise Unread(BAD_UNPARSED, f"input {setting.input} of {folder.name} says no numbers: {text[:120]}") from None
        (_, quality), (ma, _) = columns["value"], columns["current"]
        said = "" if quality == GOOD else f"{float('nan') if ma is None else ma:.2f} mA on input {setting.input}"
        return Found(columns=columns, topic=f"{folder.name}/in_{setting.input}", text=text.encode(), said=said)

    def _converter(self) -> Path:
        """The folder whose name or label is the configured one."""
        names = []
        for folder in sorted(self._folder.glob("iio:device*")):
            for file in ("label", "name"):
                if (name := self._maybe(folder / file)) is not None:
                    if name == self._device:
                        return folder
                    names.append(name)
        there = f"there are {', '.join(names)}" if names else f"{self._folder} shows none"
        raise Unread(BAD_LINK_DOWN, f"no converter called '{self._device}': {there} (driver, dtoverlay)")

    def _either(self, folder: Path, input_: str, kind: str, what: str) -> str | None:
        """An attribute of this input, or the one that all inputs of its kind share."""
        own = self._maybe(folder / f"in_{input_}_{what}")
        return own if own is not None else self._maybe(folder / f"in_{kind}_{what}")

    def _text(self, file: Path) -> str:
        try:
            return file.read_text("ascii", "replace").strip()
        except FileNotFoundError:
            raise Unread(BAD_LINK_DOWN, f"{file.name} is missing in {file.parent.name}: no such input") from None
        except OSError as error:
            raise Unread(BAD_NO_ANSWER, f"{file.name} cannot be read: {error.strerror}") from error

    def _maybe(self, file: Path) -> str | None:
        return self._text(file) if file.exists() else None
