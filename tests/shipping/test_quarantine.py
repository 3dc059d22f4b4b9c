"""``quarantine retry`` and ``drop`` over a real journal and a sink that changes its mind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from edge_gateway.errors import Unreachable
from edge_gateway.journal.base import Quarantined
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.shipping import quarantine
from edge_gateway.sinks.base import Sink
from tests.sinks.influx_record import EPOCH, Record, StillClock


class Mind:
    """Takes lines that it ``likes``; down when told; tries at most ``most``."""

    def __init__(self, name: str = "influx") -> None:
        self.name, self.likes, self.down, self.most = name, {"good"}, False, 100

    async def retry(self, items: Sequence[Quarantined]) -> list[tuple[int, str]]:
        if self.down:
            raise Unreachable("no answer")
        return [(item.id, "" if item.line in self.likes else "still bad") for item in items[: self.most]]


async def journal_with(tmp_path: Path) -> Store:
    journal = await open_journal(
        tmp_path, settings=JournalSettings(max_bytes=1 << 30, sinks=("influx",)), clock=StillClock()
    )
    record = Record()
    record.add("snapshot", config=None, state={})
    await journal.append(record.entries)
    await journal.quarantine_add("influx", EPOCH, [(1, "good", "no"), (2, "bad", "no"), (3, "good", "no")])
    await journal.quarantine_add("gone", EPOCH, [(4, "good", "no")])
    return journal


def sinks(*minds: Mind) -> list[Sink]:
    return [cast("Sink", mind) for mind in minds]


async def test_what_is_taken_leaves_and_nothing_else(tmp_path: Path) -> None:
    journal = await journal_with(tmp_path)
    items = await journal.quarantine_list()
    ids = {(item.sink, item.seq): item.id for item in items}
    answer: dict[str, Any] = await quarantine.retry(journal, sinks(Mind()), [*ids.values(), 999])
    assert sorted(answer["taken"]) == sorted([ids["influx", 1], ids["influx", 3]])
    assert answer["refused"] == [{"id": ids["influx", 2], "reason": "still bad"}]
    assert [item["id"] for item in answer["waiting"]] == [ids["gone", 4]]
    assert answer["unknown"] == [999]
    assert sorted(item.seq for item in await journal.quarantine_list()) == [2, 4]
    assert await quarantine.drop(journal, [ids["influx", 2], 999]) == {"dropped": 1, "unknown": [999]}
    assert [item.seq for item in await journal.quarantine_list()] == [4]
    await journal.close()


async def test_a_sink_that_is_down_or_paced_changes_nothing(tmp_path: Path) -> None:
    journal = await journal_with(tmp_path)
    ids = [item.id for item in await journal.quarantine_list("influx")]
    mind = Mind()
    mind.down = True
    answer = await quarantine.retry(journal, sinks(mind), ids)
    assert [item["why"] for item in answer["waiting"]] == ["no answer"] * 3
    assert len(await journal.quarantine_list("influx")) == 3
    mind.down, mind.most = False, 1
    answer = await quarantine.retry(journal, sinks(mind), ids)
    assert (len(answer["taken"]), len(answer["waiting"])) == (1, 2)
    await journal.close()
