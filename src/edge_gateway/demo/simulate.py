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
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_gateway.config.load import ConfigRefused
from edge_gateway.demo.cast import DEMO, Cast
from edge_gateway.demo.children import ChildFailed
from edge_gateway.demo.compare import sound
from edge_gateway.demo.follow import Acts, Follower, Teller
from edge_gateway.demo.own_cast import cast_of, fitted, names_of
from edge_gateway.demo.own_site import OwnSite, read
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
    #: a site's own configuration; None: the demonstration's site
    config: str | None = None
    #: and its state folder, for what pages and commands changed of it
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A scenario at a site: who plays in it, and where it is not the demonstration's, which site's."""

    scenario: Scenario
    cast: Cast = DEMO
    own: OwnSite | None = None


class Doing:
    """What persons and misfortune do at the site, when the plant says that it is time. ``over`` once the scenario has ended."""

    def __init__(self, site: Site, teller: Teller, stop: asyncio.Event, cast: Cast = DEMO) -> None:
        self._site = site
        self._cast = cast
        self._teller = teller
        self._stop = stop
        self._mark = ""
        self.over = False

    def acts(self) -> Acts:
        """What is done, by what happens."""
        return {
            "mark-defrost": lambda: self._begin("defrost", "--zone", self._cast.door_room),
            "mark-calibration": lambda: self._begin("calibration", "--point", self._cast.bathed),
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
        await self._site.person("calibrate", "found", self._cast.bathed, *words, "--steady-for", f"{steady_s:g}s")

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
    teller = Teller(options.language)
    with folders(options.record) as (folder, sockets):
        played = _played(options, folder, teller)
        if played is None:
            return USAGE
        scenario, own = played.scenario, played.own
        settings = SiteOptions(
            folder=folder, sockets=sockets, speed=options.speed, seed=options.seed, interval_s=min(60.0, options.speed),
            scenario=scenario.id, packs=_packs(options.packs, folder), clock_jumps=scenario.jump_s > 0, timeout_s=scenario.timeout_s,
            own=own, plan=own.plan(played.cast, scenario) if own else None, names=names_of(scenario, own, played.cast) if own else {},
        )  # fmt: skip
        async with Site(settings, language=options.language) as site:
            teller.say(f"{scenario.id}: {scenario.en}", f"{scenario.id}：{scenario.zh}")
            running = asyncio.create_task(_live(site, played, teller, (stop, options.for_s)), name="simulate")
            try:
                result = await running
            except ChildFailed as failed:
                teller.say(f"simulate: {failed}", f"模拟：{failed}")
                return 1
    if result is None:
        return INTERRUPTED
    _report(result, options, teller)
    return {"as-it-should": 0, "not-so": 1, "stopped": STOPPED}[result["outcome"]]


def _played(options: Options, folder: Path, teller: Teller) -> Played | None:
    """The scenario at the demonstration's site, or at a site's own; None (said) where that site cannot play it or has faults."""
    scenario = SCENARIOS[str(options.scenario)]
    if options.config is None:
        return Played(scenario=scenario)
    own = _own(Path(options.config), options, folder, teller)
    if own is None:
        return None
    cast, parts = cast_of(own)
    fit = fitted(scenario, own, parts)
    if isinstance(fit, tuple):
        teller.say(f"simulate: {scenario.id} cannot be acted: {fit[0]}", f"模拟：无法演示 {scenario.id}：{fit[1]}")
        return None
    for what, why in own.left_out:
        teller.say(f"not acted: {what} ({why})", f"未模拟：{what}（{why}）")
    if names := ", ".join(own.points_left_out):
        teller.say(
            f"only Modbus devices are acted: no rule judges {names} in this run, and nothing is said of how they would be judged",
            f"只模拟 Modbus 设备：本次运行中没有规则判定 {names}，其判定结果不在此列",
        )
    return Played(scenario=fit, cast=cast, own=own)


def _own(config: Path, options: Options, folder: Path, teller: Teller) -> OwnSite | None:
    """The site's configuration; None where it has faults, each of which is said."""
    try:
        state = None if options.state is None else Path(options.state)
        own = read(config, state, lambda work: _packs(options.packs, work, shipped=()), folder)
    except ConfigRefused as refused:
        for fault in refused.faults:
            teller.say(f"simulate: {fault}", f"模拟：{fault}")
        return None
    if not own.devices:
        teller.say(f"simulate: {config} has no Modbus device with a point: nothing can be acted", f"模拟：{config} 中没有带测点的 Modbus 设备，无可模拟")
        return None
    return own


def _packs(files: list[str], folder: Path, *, shipped: tuple[str, ...] = (*PACKS, "instrument-health")) -> tuple[str, ...]:
    """The packs by name; files of the reader's own take the place of the shipped ones of their names, or stand beside them."""
    names = [*shipped]
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


async def _live(site: Site, played: Played, teller: Teller, until: tuple[asyncio.Event, float | None]) -> dict[str, Any] | None:
    """Start, follow, end in order, judge. None when it was interrupted before the first reading."""
    (stop, for_s), scenario = until, played.scenario
    doing = Doing(site, teller, stop, played.cast)
    follower = Follower(site, teller, doing.acts())
    if not await started(site, follower, teller, stop):
        return None
    await play(site, follower, for_s, stop)
    result = await site.judge(slack_s=scenario.jump_s)
    faults = scenario.faults(tuple(step) for step in result["steps"])
    good = sound(result) and not faults
    outcome = "stopped" if not doing.over else "as-it-should" if good else "not-so"
    missing, unwanted = ([step for step, lacks in faults if lacks is which] for which in (True, False))
    about = {"site": site.id, "left_out": [list(each) for each in played.own.left_out], "points_left_out": list(played.own.points_left_out)} if played.own else {}
    return {"scenario": scenario.id} | about | {"outcome": outcome, "must": scenario.must, "missing": missing, "unwanted": unwanted} | result


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
    """The scenarios; of a site's own, with those that it cannot play and why."""
    cannot = _cannot(options)
    if options.as_json:
        rows = [{"id": each.id, "en": each.en, "zh": each.zh, "lasts_s": each.lasts_s, "must": each.must, "cannot": cannot.get(each.id, ("", ""))[0]} for each in SCENARIOS.values()]
        print(json.dumps({"schema": "edge-gateway/scenarios/1", "scenarios": rows}, ensure_ascii=False))
        return
    for each in SCENARIOS.values():
        minutes, real_s = round(each.lasts_s / 60), round(each.lasts_s / options.speed)
        about = f"{each.zh}（{minutes} 分钟，实际 {real_s} 秒）" if options.language == "zh" else f"{each.en} ({minutes} min, here {real_s} s)"
        if each.id in cannot:
            about = f"无法演示：{cannot[each.id][1]}" if options.language == "zh" else f"cannot be acted: {cannot[each.id][0]}"
        print(f"{each.id:<22}{about}")


def _cannot(options: Options) -> dict[str, tuple[str, str]]:
    if options.config is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="edge-gateway-") as folder:
        own = _own(Path(options.config), options, Path(folder), Teller(options.language))
    if own is None:
        sys.exit(USAGE)
    parts = cast_of(own)[1]
    fits = {each.id: fitted(each, own, parts) for each in SCENARIOS.values()}
    return {id_: fit for id_, fit in fits.items() if isinstance(fit, tuple)}


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
