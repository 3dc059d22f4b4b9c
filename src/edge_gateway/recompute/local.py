"""What this machine measures itself to its values again: kernel files by their words, meters by what was kept of their counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_gateway.reading import BAD_MISSING, BAD_RANGE, BAD_UNPARSED, FRESH_INTERVALS, GOOD, Value
from edge_gateway.recompute.base import BEFORE, HASH_ONLY, UNREAD, Body, Derived, Unknown, reading_of
from edge_gateway.recompute.messages import payload_of
from edge_gateway.sources import host_text, loop_current
from edge_gateway.sources.onewire_text import temperature
from edge_gateway.sources.pulse_total import Total, advance, quantity

_Columns = Mapping[str, tuple[Value, str]]
#: What is remembered from batch to batch, by device: a probe's last good temperature, a meter's total.
Memory = dict[str, Any]


class Files:
    """One group of a device that is read in kernel files: ``means`` says what its words are, channel by channel."""

    name = "kernel-files"

    def __init__(self, channels: Sequence[str], means: Callable[[str], _Columns]) -> None:
        self._channels, self._means = tuple(channels), means

    def derive(self, body: Body) -> Sequence[Derived]:
        """See ``base.Kind``. A channel without words, or a device without any, was not read."""
        if "message" not in body:
            return [UNREAD] * len(self._channels)
        text = payload_of(body)
        if text is None:
            return [Unknown(HASH_ONLY)] * len(self._channels)
        columns = self._means(text.decode("utf-8", "replace"))
        return [columns.get(channel, UNREAD) for channel in self._channels]

    def doubt(self, body: Body, column: int) -> str:
        """The kernel's words say what they say."""
        return ""

    def also(self, body: Body) -> tuple[str, Any, Any] | None:
        """Nothing else is derived."""
        return None


def loop(channels: Sequence[str], setting: Mapping[str, Any]) -> Files:
    """A 4-20 mA loop on a converter of the kernel."""
    span, shunt_ohm = (float(setting["low"]), float(setting["high"])), setting.get("shunt_ohm")

    def means(text: str) -> _Columns:
        try:
            return loop_current.readings(text, span, shunt_ohm)
        except loop_current.EndOfScale:
            return dict.fromkeys(channels, (None, BAD_RANGE))
        except (ValueError, KeyError, OverflowError):
            return dict.fromkeys(channels, (None, BAD_UNPARSED))

    return Files(channels, means)


def host(channels: Sequence[str], contact: Mapping[str, Any] | None) -> Files:
    """The machine itself, or a contact on one of its inputs."""

    def means(text: str) -> _Columns:
        try:
            if contact is not None:
                return {"contact": host_text.contact(text, contact["bias"], contact["closed"])}
            return host_text.figures(text)
        except (ValueError, KeyError, ZeroDivisionError):
            return dict.fromkeys(channels, (None, BAD_UNPARSED))

    return Files(channels, means)


class Probe(Files):
    """A 1-Wire probe: 85 °C may be believed or not, by the reading before."""

    def __init__(self, channels: Sequence[str], probe: str, interval_us: int, memory: Memory) -> None:
        super().__init__(channels, self._said)
        self._family, self._probe = int(probe[:2], 16), probe
        self._fresh_us, self._memory = FRESH_INTERVALS * interval_us, memory
        self._mono_us = 0

    def derive(self, body: Body) -> Sequence[Derived]:
        """See ``base.Kind``; a good temperature is remembered."""
        self._mono_us = int(body["mono_us"])
        found = super().derive(body)
        for each in found:
            if isinstance(each, tuple) and each[1] == GOOD:
                self._memory[self._probe] = each[0], self._mono_us
        return found

    def _said(self, text: str) -> _Columns:
        before, at_us = self._memory.get(self._probe, (None, 0))
        value, mark, _ = temperature(text, self._family, before if 0 <= self._mono_us - at_us <= self._fresh_us else None)
        return {"temperature": (value, mark)}

    def doubt(self, body: Body, column: int) -> str:
        """With another reading before it the same words give what was journaled."""
        text = payload_of(body) if "message" in body else None
        said = "" if text is None else text.decode("utf-8", "replace")
        return BEFORE if any(temperature(said, self._family, b)[:2] == reading_of(body, column) for b in (None, 85.0)) else ""


class Meter:
    """A pulse meter: its total goes on from the one before, by what its counter showed (``keep``)."""

    name = "counters"

    def __init__(self, channels: Sequence[str], device: str, setting: Mapping[str, Any], memory: Memory) -> None:
        self._channels, self._device, self._memory = tuple(channels), device, memory
        self._worth = float(setting["per_pulse"]), float(setting["start"])
        self._before: Total | None = None

    def derive(self, body: Body) -> Sequence[Derived]:
        """See ``base.Kind``. Without ``keep`` the counter was not read."""
        kept = Total.of(body.get("keep") or {})
        if kept is None:
            return [UNREAD] * len(self._channels)
        self._before = Total.of(self._memory.get(self._device) or {})
        total, mark = advance(self._before, kept.count, kept.life)
        columns = {"total": (quantity(total.pulses, *self._worth), mark), "pulses": (total.pulses, mark)}
        return [columns.get(channel, (None, BAD_MISSING)) for channel in self._channels]

    def doubt(self, body: Body, column: int) -> str:
        """Between two lives of a counter the running source may have looked once more than the record."""
        kept = Total.of(body.get("keep") or {})
        if kept is None or self._before is None or self._before.life == kept.life or kept.pulses < self._before.pulses:
            return ""
        value = {"total": quantity(kept.pulses, *self._worth), "pulses": kept.pulses}.get(self._channels[column])
        return BEFORE if value == reading_of(body, column)[0] else ""

    def also(self, body: Body) -> tuple[str, Any, Any] | None:
        """The total that was kept is the one before and what came since."""
        kept = Total.of(body.get("keep") or {})
        if kept is None:
            return None
        derived, _ = advance(self._before, kept.count, kept.life)
        if derived.pulses != kept.pulses and (self._before is None or self._before.life == kept.life):
            return "keep.pulses", kept.pulses, derived.pulses
        return None
