"""What the hub tells a gateway that lost its record: what stands open in the gateway's own last words, page by page, and the highest number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regulator_hub.store import standing
from tests.regulator_hub import record
from tests.regulator_hub.harness import Gateway, gateway, registered, running_hub


async def asked(site: Gateway, after: str = "") -> dict[str, Any]:
    """The answer once the hub has interpreted all that it holds."""
    while "later" in (answer := await site.ask({"kind": "standing", "after": after})):
        assert answer["later"] > 0
    return dict(answer["standing"])


async def test_what_stands_open_is_told_as_the_gateway_said_it_last(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = [
        *record.start(2),
        record.violation(2, "violated", episode=3, level="violation"),
        record.violation(3, "violated", name="tlf-007-9", rule="other"),
        record.violation(4, "acknowledged", handling="acknowledged", episode=3, level="violation", by="li", reason="seen"),
        record.violation(5, "closed", handling="closed", name="tlf-007-9", rule="other"),
        record.snapshot(6, 1),
    ]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert await asked(site) == {"number": 0, "open": [], "more": False}
        await site.text(record.TEXT)
        await site.entries(0, entries)
        told = await asked(site)
        assert (told["number"], told["more"]) == (9, False)  # the highest that was given, though that one is closed
        (found,) = told["open"]
        assert (found["violation"], found["handling"], found["episode"], found["by"], found["level"]) == (
            "tlf-007-1", "acknowledged", 3, "li", "violation",
        )  # fmt: skip
        assert "seq" not in found
        assert (await asked(site, "tlf-007-1"))["open"] == []
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert await asked(site) == told  # and after a restart


async def test_many_are_told_in_parts(tmp_path: Path) -> None:
    token, count = registered(tmp_path), 2 * standing.MOST + 7
    entries = [*record.start(2), *(record.violation(2 + n, "violated", name=f"tlf-007-{n + 1}", rule=f"r{n}") for n in range(count))]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.entries(0, entries)
        found, after, parts = list[str](), "", 0
        while True:
            told = await asked(site, after)
            found += [each["violation"] for each in told["open"]]
            after, parts = found[-1], parts + 1
            if not told["more"]:
                break
        assert sorted(found) == sorted(f"tlf-007-{n + 1}" for n in range(count))
        assert (parts, len(set(found)), told["number"]) == (3, count, count)
