"""The plant's truth log: what it answered, published and let happen, one JSON object a line; knows nothing of the gateway.

Kinds: ``reply`` (a Modbus answer that was written: registers as sent, values as the plant means them), ``message`` (an MQTT
message that the broker acknowledged), ``event`` (the story), ``quiet`` (from here on nothing is answered).
A reading counts only with ``counts``: false marks an answer that may have come after the client's time-out, and a message
that the broker did not acknowledge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO


class TruthLog:
    """Append-only; every line is handed to the kernel before ``write`` returns."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", buffering=1, encoding="utf-8")

    def reply(
        self,
        t_us: int,
        bus: str,
        request: tuple[int, int, int],
        data: bytes,
        values: Mapping[str, float | int],
        *,
        counts: bool,
    ) -> None:
        """An answer to ``request`` (unit, function, start), written at ``t_us``."""
        unit, function, start = request
        line = {"kind": "reply", "t_us": t_us, "bus": bus, "unit": unit, "function": function, "start": start}
        self.write(line | {"data": data.hex(), "values": dict(values), "counts": counts})

    def message(self, t_us: int, topic: str, payload: str, values: Mapping[str, float | int], *, counts: bool) -> None:
        """A message whose PUBACK came; ``t_us`` is when it was published."""
        line = {"kind": "message", "t_us": t_us, "topic": topic, "payload": payload}
        self.write(line | {"values": dict(values), "counts": counts})

    def event(self, t_us: int, story_s: int, what: str) -> None:
        """A happening of the story."""
        self.write({"kind": "event", "t_us": t_us, "story_s": story_s, "what": what})

    def write(self, line: Mapping[str, Any]) -> None:
        """One line as it is."""
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing is written after this."""
        self._file.close()


def read_truth(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a truth log. A last line that was cut by a kill is left out."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
