"""Three unknown units on one line, found and named while the gateway goes on polling its own; in virtual time.

Each seed: three profiles and three addresses by chance, one unit each at 9600-8N1, 4800-8N1 and 9600-8E1; turnarounds of
5 to 45 ms; some are silent where they should refuse (only types that have one of the two registers that a scan asks for). The running source has two devices of its own at 9600-8N1. The line
and its arithmetic are tests.servers.sim_bus; scheduler, source, scan and matching are the real ones, on a loop whose time
jumps (the time that Python takes is not in it).
Usage: python -m tests.faults.scan [--n 10] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import struct
import sys
from contextlib import suppress
from typing import Any
from unittest import mock

from edge_gateway.profiles.load import available, load
from edge_gateway.profiles.model import ModbusProfile, RegisterChannel
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import Batch, GapOpened
from edge_gateway.sources.modbus import ModbusRtuConfig
from edge_gateway.sources.modbus_lend import Lender, settings_of
from edge_gateway.sources.modbus_scan import Framing, Plan, candidates, default_addresses, factory, rest
from edge_gateway.sources.modbus_scan_run import Scanner
from tests.servers.read_only import assert_read_only
from tests.servers.sim_bus import LoopClock, SimBus, SimUnit, in_virtual_time
from tests.sources.modbus_plant import Recorder

BUS_TIME_S = 40.0
FRAMINGS = (Framing(9600), Framing(4800), Framing(9600, "E"))
INTERVAL_US = 2_000_000
_ORDER = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
_FORMS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}


def profiles() -> list[ModbusProfile]:
    """All shipped Modbus profiles that can be read."""
    found = [load(name).profile for name in available()]
    return [p for p in found if isinstance(p, ModbusProfile) and p.modbus.needs == "nothing"]


def sample(channel: RegisterChannel, chance: random.Random) -> tuple[float, bytes]:
    """A value that such a probe would have, and its bytes in the device's order: by struct alone."""
    low = -20.0 if channel.range_low is None else max(channel.range_low, -20.0)
    high = min(channel.range_high if channel.range_high is not None else 90.0, 90.0)
    if channel.type.startswith("uint"):
        low = max(low, 0.0)
    raw: float = (chance.uniform(low + (high - low) / 4, high) - float(channel.offset)) / float(channel.scale)
    if channel.type != "float32":
        raw = round(raw)
    big = struct.pack(_FORMS[channel.type], raw)
    if len(big) == 2:
        sent = big if channel.order in ("ABCD", "CDAB") else big[::-1]
    else:
        sent = bytes(big[_ORDER[channel.order].index(at)] for at in range(4))
    value = struct.unpack(">f", big)[0] if channel.type == "float32" else raw
    return value * float(channel.scale) + float(channel.offset), sent


def unit_of(
    profile: ModbusProfile, address: int, framing: Framing, chance: random.Random
) -> tuple[SimUnit, dict[str, float]]:
    """A simulated device of that type, and what its channels hold."""
    cells: dict[tuple[int, int], int] = {}
    values: dict[str, float] = {}
    for name, channel in profile.channels.items():
        if channel.type == "bool":
            cells[channel.function, channel.register_] = chance.randint(0, 1)
            continue
        values[name], sent = sample(channel, chance)
        for index in range(0, len(sent), 2):
            cells[channel.function, channel.register_ + index // 2] = int.from_bytes(sent[index : index + 2], "big")
    if profile.modbus.gap_readable:
        for function in {function for function, _ in cells}:
            mine = [address for f, address in cells if f == function]
            cells |= {(function, a): cells.get((function, a), 0) for a in range(min(mine), max(mine) + 1)}
    for sign in profile.identify.signature:
        content = sign.equals if sign.between is None else sign.between[0]
        text = content.encode().ljust(2 * sign.width, b"\0") if isinstance(content, str) else struct.pack(_FORMS[sign.type], int(content or 0))
        for index in range(0, len(text), 2):
            cells.setdefault((sign.function, sign.register_ + index // 2), int.from_bytes(text[index : index + 2], "big"))
    heard = (3, 0) in cells or (4, 1) in cells  # a unit that is silent to whatever a scan asks is not to be found
    silent = heard and chance.random() < 0.3
    return SimUnit(address, cells, framing.baud, framing.parity, chance.uniform(0.005, 0.045), silent), values


def own_devices(taken: set[int], chance: random.Random) -> tuple[list[DeviceSpec], list[SimUnit]]:
    """Two transmitters that the gateway polls already."""
    profile = load("generic/xy-md02").profile
    assert isinstance(profile, ModbusProfile)
    specs, units = [], []
    for number, address in enumerate(chance.sample(sorted(set(range(1, 33)) - taken), 2)):
        points = (PointSpec(id=f"own{number}-t", channel="temperature"),)
        specs.append(DeviceSpec(id=f"own{number}", profile=profile, points=points, interval_us=INTERVAL_US, unit=address))
        units.append(SimUnit(address, {(4, 1): 213, (4, 2): 456}))
    return specs, units


#: Types that a simulated unit can be made of: all channels plain registers, and more than one bit of evidence.
def plain(profile: ModbusProfile) -> bool:
    return all(c.type in _FORMS and c.bits is None and c.function > 2 for c in profile.channels.values())


async def _polled(bus: SimBus, specs: list[DeviceSpec], scan: Any) -> tuple[Any, Recorder]:
    config = ModbusRtuConfig.model_validate({"kind": "rtu", "port": "/dev/simulated"})
    source = config.build("line1", specs, LoopClock())  # type: ignore[arg-type]
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    await asyncio.sleep(3 * INTERVAL_US / 1e6)
    try:
        return await scan(source), inbox
    finally:
        await asyncio.sleep(2 * INTERVAL_US / 1e6)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def run_seed(seed: int, known: list[ModbusProfile]) -> dict[str, Any]:
    """One scan. ``faults``: what is not as it must be, in words."""
    chance = random.Random(seed)
    kinds = chance.sample([p for p in known if plain(p)], min(3, sum(map(plain, known))))
    addresses = [chance.randint(1, 32) for _ in FRAMINGS]
    made = [unit_of(k, a, f, chance) for k, a, f in zip(itertools.cycle(kinds), addresses, FRAMINGS, strict=False)]
    specs, own = own_devices({a for a, f in zip(addresses, FRAMINGS, strict=True)}, chance)
    bus = SimBus([unit for unit, _ in made] + own)
    plan = Plan(tuple(candidates(known, Framing(9600))), tuple(default_addresses(known)), factory(known))
    found: list[tuple[float, dict[str, Any]]] = []
    longest_s = 0.0

    async def scan(source: Any) -> float:
        loop = asyncio.get_running_loop()
        lender = Lender(settings_of("/dev/simulated"), source)
        its = {("9600-8N1", spec.unit): [spec.id] for spec in specs}
        started_s = loop.time()
        heard = await lender.listen(plan.framings[0], 2.0)
        assert not heard
        try:
            async for event in Scanner(lender, plan, known, its).run():
                found.extend([(loop.time() - started_s, event)] if event["event"] == "unit" else [])
        finally:
            await lender.close()
        return loop.time() - started_s

    with (
        mock.patch("edge_gateway.links.modbus.open_line", bus.open_line),
        mock.patch("edge_gateway.links.modbus_ear.open_ear", bus.open_ear),
    ):
        took_s, inbox = in_virtual_time(_polled(bus, specs, scan))
    longest_s = plan.longest_s
    found = [(at_s, event) for at_s, event in found if not event.get("known")]
    faults = list(_faults(found, made, kinds, addresses)) + list(_missed(inbox, specs, longest_s))
    assert_read_only(bus.functions.elements())
    last_s = max((at_s for at_s, _ in found), default=0.0)
    return {
        "seed": seed, "faults": faults, "named_s": round(last_s, 1), "took_s": round(took_s, 1),
        "estimate_s": round(plan.estimate_s, 1), "estimate_rest_s": round(rest(plan).estimate_s, 1), "delay_ms": round(max(delays(inbox), default=0.0) * 1000),
        "profiles": [k.id for k in kinds],
    }  # fmt: skip


def _faults(found: Any, made: Any, kinds: Any, addresses: list[int]) -> Any:
    for (_, values), kind, address, framing in zip(made, itertools.cycle(kinds), addresses, FRAMINGS, strict=False):
        mine = [(at, e) for at, e in found if (e["framing"], e["unit"]) == (str(framing), address)]
        if len(mine) != 1:
            yield f"{kind.id} at {framing} {address}: found {len(mine)} times"
            continue
        at_s, event = mine[0]
        if at_s > BUS_TIME_S:
            yield f"{kind.id} at {framing} {address}: found after {at_s:.1f} s"
        best = event["matches"][0] if event["matches"] else {"profile": "", "values": []}
        likely = [m["profile"] for m in event["matches"] if m["score"] >= best["score"] - 1e-9]
        if kind.id not in likely:
            yield f"{kind.id} at {framing} {address}: named {likely or 'nothing'}"
            continue
        shown = next(m for m in event["matches"] if m["profile"] == kind.id)["values"]
        for channel in shown:
            if abs(channel["value"] - values[channel["channel"]]) > 1e-6 * max(1.0, abs(channel["value"])):
                yield f"{kind.id}: {channel['channel']} is {channel['value']}, not {values[channel['channel']]}"
    strangers = len(found) - len(FRAMINGS)
    if strangers:
        yield f"{strangers} units found that are not there"


def delays(inbox: Recorder) -> list[float]:
    """How late each own reading was (s)."""
    return [(i.mono_us - i.slot_us) / 1e6 for i in inbox.items if isinstance(i, Batch) and i.slot_us]


def _missed(inbox: Recorder, specs: list[DeviceSpec], longest_s: float) -> Any:
    """Announced: no slot is missed, and none is later than one question of the scan's and the polls themselves."""
    for gap in (i for i in inbox.items if isinstance(i, GapOpened)):
        yield f"own points have a gap: {gap.reason} {gap.detail}"
    bad = [i for i in inbox.items if isinstance(i, Batch) and i.values[0] is None]
    if bad:
        yield f"{len(bad)} own readings are bad: {bad[0].quality}"
    most_s = longest_s + 0.1 * len(specs)
    late = [delay for delay in delays(inbox) if delay > most_s]
    if late:
        yield f"{len(late)} own readings are up to {max(late):.2f} s late, announced {most_s:.2f}"


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    known = profiles()
    runs = [run_seed(seed, known) for seed in range(asked.seed, asked.seed + asked.n)]
    faults = [fault for run in runs for fault in run["faults"]]
    report = {
        "campaign": "scan", "n": asked.n, "seed": asked.seed, "units": 3 * asked.n, "faults": faults,
        "named_s_most": max(run["named_s"] for run in runs), "took_s_most": max(run["took_s"] for run in runs),
        "delay_ms_most": max(run["delay_ms"] for run in runs), "profiles": len(known),
        "estimate_s": runs[0]["estimate_s"], "estimate_rest_s": runs[0]["estimate_rest_s"], "bound_s": BUS_TIME_S,
    }  # fmt: skip
    print(json.dumps(report))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
