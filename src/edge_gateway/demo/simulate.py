"""One scenario, put together: the simulated plant, a real gateway with real rules, a hub; what came of it beside what should.

``python -m edge_gateway.demo.simulate '<options as JSON>'``; the command line's ``simulate`` becomes this program. Everything is
its own: a temporary folder, its own record, its own sinks. It knows nothing of a gateway that runs on this machine.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_gateway.demo.children import ChildFailed
from edge_gateway.demo.compare import sound
from edge_gateway.demo.follow import Acts, Follower, Teller
from edge_gateway.demo.run import INTERRUPTED, folders, need_broker, play, started
from edge_gateway.demo.scenarios import ENDED, SCENARIOS, Scenario
from edge_gateway.demo.site import Site, SiteOptions
from edge_gateway.demo.site_config import PACKS

#: Not decided: it was stopped before its end.
STOPPED = 3
USAGE = 2
#: From the site's power failing to the gateway's death (real seconds): what devices answered before is committed.
_HOLDS_S = 1.0
#: What the gateway may take to be subscribed at the broker again (real seconds).
_LISTENS_S = 10.0
#: How long a probe must stand still in the bath (simulated, but real seconds at least).
_STEADY_S, _STEADY_REAL_S = 60.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line decides. ``for_s`` (real seconds) None: until the scenario's end."""

    scenario: str | None
    listed: bool
    for_s: float | None
    speed: float
    seed: int
    as_json: bool
    record: str | None
    packs: list[str]
    language: str


class Doing:
    """What persons and misfortune do at the site, when the plant says that it is time. ``over`` once the scenario has ended."""

    def __init__(self, site: Site, teller: Teller, stop: asyncio.Event) -> None:
        self._site = site
        self._teller = teller
        self._stop = stop
        self._mark = ""
        self.over = False

    def acts(self) -> Acts:
        """What is done, by what happens."""
        return {
            "mark-defrost": lambda: self._begin("defrost", "--zone", "cold1"),
            "mark-calibration": lambda: self._begin("calibration", "--point", "cold1-air"),
            "mark-ended": self._end_mark,
            "as-found": self._as_found,
            "power-cut": self._power_cut,
            "power-back": self._power_back,
            "clock-jumped": self._jump,
            ENDED: self._ended,
        }

    async def _begin(self, kind: str, *scope: str) -> None:
        said = await self._site.person("mark", "start", kind, *scope, "--for", "1h", "--reason", "simulated")
        self._mark = said.split()[0]

    async def _end_mark(self) -> None:
        await self._site.person("mark", "end", self._mark, "--reason", "simulated: done")

    async def _as_found(self) -> None:
        steady_s = max(_STEADY_S / self._site.options.speed, _STEADY_REAL_S)
        words = ["--reference", "0", "--uncertainty", "0.05", "--cert", "SIMULATED", "--allowed", "0.5", "--reason", "simulated"]
        await self._site.person("calibrate", "found", "cold1-air", *words, "--steady-for", f"{steady_s:g}s")

    async def _power_cut(self) -> None:
        await asyncio.sleep(_HOLDS_S)
        self._site.kill_gateway()

    async def _power_back(self) -> None:
        await self._site.start_gateway()
        await Follower(self._site, self._teller).listened(_LISTENS_S)
        self._site.plant.order("listening")

    async def _jump(self) -> None:
        self._site.gateway.send(signal.SIGUSR1)

    async def _ended(self) -> None:
        self.over = True
        self._stop.set()


async def run(options: Options) -> int:
    """Run it; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    scenario, teller = SCENARIOS[str(options.scenario)], Teller(options.language)
    with folders(options.record) as (folder, sockets):
        settings = SiteOptions(
            folder=folder, sockets=sockets, speed=options.speed, seed=options.seed, interval_s=min(60.0, options.speed),
            scenario=scenario.id, packs=_packs(options.packs, folder), clock_jumps=scenario.jump_s > 0, timeout_s=scenario.timeout_s,
        )  # fmt: skip
        async with Site(settings, language=options.language) as site:
            teller.say(f"{scenario.id}: {scenario.en}", f"{scenario.id}：{scenario.zh}")
            running = asyncio.create_task(_live(site, scenario, teller, (stop, options.for_s)), name="simulate")
            try:
                result = await running
            except ChildFailed as failed:
                teller.say(f"simulate: {failed}", f"模拟：{failed}")
                return 1
    if result is None:
        return INTERRUPTED
    _report(result, options, teller)
    return {"as-it-should": 0, "not-so": 1, "stopped": STOPPED}[result["outcome"]]


def _packs(files: list[str], folder: Path) -> tuple[str, ...]:
    """The packs by name; files of the reader's own take the place of the shipped ones of their names, or stand beside them."""
    names = [*PACKS, "instrument-health"]
    for file in map(Path, files):
        try:
            name = str(tomllib.loads(file.read_text(encoding="utf-8")).get("id", ""))
        except (OSError, ValueError) as error:
            raise SystemExit(f"simulate: {file}: {error}") from error
        if not name.replace("-", "").isalnum():
            raise SystemExit(f"simulate: {file}: a rule pack names itself, as in id = \"my-pack\"")
        (folder / "rules").mkdir(exist_ok=True)
        shutil.copyfile(file, folder / "rules" / f"{name}.toml")
        names += [name] if name not in names else []
    return tuple(names)


async def _live(site: Site, scenario: Scenario, teller: Teller, until: tuple[asyncio.Event, float | None]) -> dict[str, Any] | None:
    """Start, follow, end in order, judge. None when it was interrupted before the first reading."""
    stop, for_s = until
    doing = Doing(site, teller, stop)
    follower = Follower(site, teller, doing.acts())
    if not await started(site, follower, teller, stop):
        return None
    await play(site, follower, for_s, stop)
    result = await site.judge(slack_s=scenario.jump_s)
    faults = scenario.faults(tuple(step) for step in result["steps"])
    good = sound(result) and not faults
    outcome = "stopped" if not doing.over else "as-it-should" if good else "not-so"
    missing, unwanted = ([step for step, lacks in faults if lacks is which] for which in (True, False))
    return {"scenario": scenario.id, "outcome": outcome, "must": scenario.must, "missing": missing, "unwanted": unwanted} | result


def _report(result: dict[str, Any], options: Options, teller: Teller) -> None:
    for holder in ("hub", "influx"):
        for sentence in result[holder]["examples"]:
            teller.say(f"{holder}: {sentence}", f"{holder}：{sentence}")
    if options.as_json:
        about = {"schema": "edge-gateway/simulate/1", "seed": options.seed, "speed": options.speed}
        print(json.dumps(about | result, ensure_ascii=False), flush=True)
        return
    for rule, point, step in result["steps"]:
        print(f"{rule}  {point}  {step}")
    if result["outcome"] == "stopped":
        teller.say("stopped before its end: not decided", "未到结束即停止：无法判定")
    else:
        for words, zh in (("missing", "缺少"), ("unwanted", "多余")):
            for step in result[words]:
                teller.say(f"{words}: {' '.join(step)}", f"{zh}：{' '.join(step)}")
        en, zh = ("as it should be", "符合预期") if result["outcome"] == "as-it-should" else ("NOT as it should be", "不符合预期")
        teller.say(f"{en}; {result['readings']} readings, lost {result['lost']}", f"{zh}；{result['readings']} 个读数，丢失 {result['lost']}")
    if options.record is not None:
        judge = f"edge-gateway replay {options.record}/state"
        teller.say(f"Judge the record again: {judge}", f"重新判定此台账：{judge}")


def _list(options: Options) -> None:
    if options.as_json:
        rows = [{"id": each.id, "en": each.en, "zh": each.zh, "lasts_s": each.lasts_s, "must": each.must} for each in SCENARIOS.values()]
        print(json.dumps({"schema": "edge-gateway/scenarios/1", "scenarios": rows}, ensure_ascii=False))
        return
    for each in SCENARIOS.values():
        minutes, real_s = round(each.lasts_s / 60), round(each.lasts_s / options.speed)
        about = f"{each.zh}（{minutes} 分钟，实际 {real_s} 秒）" if options.language == "zh" else f"{each.en} ({minutes} min, here {real_s} s)"
        print(f"{each.id:<22}{about}")


def main() -> None:
    """Entry point."""
    options = Options(**json.loads(sys.argv[1]))
    if options.listed:
        return _list(options)
    if options.scenario not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        en = f"no scenario '{options.scenario}'" if options.scenario else "no scenario was named"
        zh = f"没有情景“{options.scenario}”" if options.scenario else "未指定情景"
        Teller(options.language).say(f"simulate: {en}; there are {known}", f"模拟：{zh}；可用情景：{known}")
        sys.exit(USAGE)
    need_broker(options.language)
    sys.exit(asyncio.run(run(options)))


if __name__ == "__main__":
    main()
