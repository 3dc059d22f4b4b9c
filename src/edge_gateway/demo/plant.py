"""The simulated plant as a program of its own: field buses and publishers on a scaled clock, its story, its truth log.

Started with ``--options-file``; its first line on stdout tells ports and the serial line's path, later ones what happens.
Lines on stdin are orders: ``begin`` (the story starts), ``listening`` (somebody is subscribed again), ``hold`` (the site stands
still, devices answer on), ``quiet`` (answer nothing any more), end of input (end).
It knows nothing of gateway and hub.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_gateway.clock import SystemClock
from edge_gateway.demo.cast import Cast, Signal
from edge_gateway.demo.fieldbus import Answering, Heartbeat, SerialLine, TcpServer, Written
from edge_gateway.demo.own_registers import OwnUnit, own_units
from edge_gateway.demo.own_world import OwnWorld
from edge_gateway.demo.physics import World
from edge_gateway.demo.publishers import PUBLISHERS, Listened, Publisher
from edge_gateway.demo.registers import Answer, Unit
from edge_gateway.demo.scenarios import SCENARIOS
from edge_gateway.demo.scene import DEVICES, SERIAL_BUS, TCP_BUSES
from edge_gateway.demo.story import Telling
from edge_gateway.demo.truthlog import TruthLog

#: An answer counts if it surely left within this share of the client's time-out.
_SURELY = 0.7
_STORY_EVERY_S = 0.05
#: What no device behind a TCP gateway answers: exception 11, "target did not respond".
_NO_TARGET = 0x0B
#: How many of a noisy line's answers are damaged.
_DAMAGED = 1 / 10


class Plant:
    """Buses, publishers and story together. Before ``begin`` the site stands still at the story's first second."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._clock = SystemClock(declared=True, speed=options["speed"], origin_us=options["origin_us"])
        self._truth = TruthLog(Path(options["truth"]))
        scenario = options.get("scenario")
        own = options.get("own")
        played = SCENARIOS[scenario] if scenario else None
        if own is not None and played is not None:
            played = replace(played, story=tuple((at_s, what) for at_s, what in own["story"]), lasts_s=own["lasts_s"])
        coming = played.happenings(options["seed"]) if played else None
        self._tcp: tuple[str, ...] = TCP_BUSES if own is None else tuple(own["tcp"])
        self._serial: tuple[str, ...] = (SERIAL_BUS,) if own is None else tuple(own["serial"])
        self._telling = Telling(options["seed"], options["speed"], coming, None if own is None else _own(options["seed"], own))
        self._noise = random.Random(f"{options['seed']}:noise")
        self._listened = Listened()
        self._heartbeat = Heartbeat()
        self._begun_us: int | None = None
        self._held = False
        self._units: Mapping[tuple[str, int], tuple[str, Unit | OwnUnit]]
        self._units = own_units(own["devices"], self._measure) if own is not None else {
            (device.bus, device.unit): (
                device.id,
                Unit(device.profile, {point.channel: point.id for point in device.points}, self._measure),
            )
            for device in DEVICES
            if device.unit
        }

    async def run(self) -> None:
        """Until stdin ends."""
        servers = {bus: TcpServer(self._answering(bus), self._heartbeat) for bus in self._tcp}
        ports = {bus: await server.listen() for bus, server in servers.items()}
        guests = {bus: TcpServer(self._answering(bus, guest=True), self._heartbeat) for bus in self._options.get("guests", {})}
        guest_ports = {bus: await server.listen(self._options["guests"][bus]) for bus, server in guests.items()}
        lines = {bus: SerialLine(self._answering(bus), self._heartbeat, self._on_the_line) for bus in self._serial}
        tasks = [
            asyncio.create_task(self._heartbeat.run(), name="heartbeat"),
            *(asyncio.create_task(line.run(), name="serial") for line in lines.values()),
            asyncio.create_task(self._tell(), name="story"),
        ]
        for name, topic, compose in PUBLISHERS if "own" not in self._options else ():
            publisher = Publisher(
                name, topic, compose, port=self._options["broker_port"], interval_s=self._options["interval_s"]
            )
            work = publisher.run(self._clock, self._measure, self._truth, self._listened)
            tasks.append(asyncio.create_task(work, name=name))
        _say({"ready": {"ports": ports, "guests": guest_ports, "serial": {bus: line.path for bus, line in lines.items()}}})
        try:
            await _first_fault(asyncio.create_task(self._orders([*servers.values(), *guests.values()]), name="orders"), tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._truth.close()

    async def _orders(self, servers: Sequence[TcpServer]) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            match line.decode().strip():
                case "begin":
                    self._begun_us = self._clock.mono_us()
                    self._listened.begun.set()
                case "listening":  # after a power cut: what is published earlier reaches nobody
                    self._listened.dark = self._telling.probes.dark
                case "hold":
                    self._now()
                    self._held = True
                case "quiet":
                    self._listened.quiet = True
                    for server in servers:
                        server.close()
                    self._truth.write({"kind": "quiet", "t_us": self._clock.wall_us()})

    def _now(self) -> None:
        """Bring the site to the present."""
        if self._begun_us is None or self._held:
            return
        for happening in self._telling.advance((self._clock.mono_us() - self._begun_us) / 1e6):
            self._truth.event(self._clock.wall_us(), happening.at_s, happening.what)
            _say({"event": happening.what, "story_s": happening.at_s})
        self._listened.dark |= self._telling.probes.dark

    def _measure(self, point: str) -> float:
        self._now()
        return self._telling.probes.value(point)

    async def _tell(self) -> None:
        while True:
            self._now()
            await asyncio.sleep(_STORY_EVERY_S)

    def _answering(self, bus: str, *, guest: bool = False) -> Answering:
        """What a bus answers. A guest's answers are no part of the truth that must arrive: the gateway never saw them."""

        def answer(unit: int, pdu: bytes) -> tuple[bytes, Written] | None:
            if self._listened.quiet or self._telling.probes.dark:
                return None
            id_, device = self._units.get((bus, unit), ("", None))
            if device is not None and id_ not in self._telling.probes.silent:
                given = device.answer(pdu)
                return given.pdu, (lambda _: None) if guest else lambda waited_s: self._written(bus, unit, given, waited_s)
            # A serial line stays silent; what sits before it on TCP says so.
            return None if bus in self._serial else (bytes([pdu[0] | 0x80, _NO_TARGET]), lambda _: None)

        return answer

    def _on_the_line(self, frame: bytes) -> bytes:
        """What arrives of a frame: now and then two neighbouring bytes are others, which a CRC of 16 bits always shows."""
        if not self._telling.probes.noisy or self._noise.random() >= _DAMAGED:
            return frame
        at = self._noise.randrange(len(frame) - 1)
        damaged = bytes([frame[at] ^ self._noise.randint(1, 255), frame[at + 1] ^ self._noise.randint(0, 255)])
        self._truth.write({"kind": "damaged", "t_us": self._clock.wall_us(), "frame": frame.hex()})
        return frame[:at] + damaged + frame[at + 2 :]

    def _written(self, bus: str, unit: int, given: Answer, waited_s: float) -> None:
        if given.data:  # an exception carries no reading
            request = (unit, given.pdu[0], given.start)
            # A poll of several requests fails with one of them: on a noisy line a good answer may stand for nothing.
            counts = waited_s < self._options["timeout_s"] * _SURELY and not (self._telling.probes.noisy and bus in self._serial)
            self._truth.reply(self._clock.wall_us(), bus, request, given.data, given.values, counts=counts)


def _own(seed: int, own: Mapping[str, Any]) -> tuple[World, Cast]:
    """Another site's world and cast, as ``own_site`` wrote them down."""
    signals = {point: Signal(**signal) for point, signal in own["signals"].items()}
    return OwnWorld(seed, own["rooms"], signals), Cast(**own["cast"])


async def _first_fault(orders: asyncio.Task[None], tasks: list[asyncio.Task[None]]) -> None:
    """Until the orders end. Raises what ended one of the others."""
    endless = [task for task in tasks if task.get_name() in ("heartbeat", "serial", "story")]
    done, _ = await asyncio.wait([orders, *endless], return_when=asyncio.FIRST_COMPLETED)
    orders.cancel()
    for task in done:
        task.result()


def _say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m edge_gateway.demo.plant", description=__doc__)
    parser.add_argument("--options-file", type=Path, required=True)
    options = json.loads(parser.parse_args().options_file.read_text(encoding="utf-8"))
    asyncio.run(Plant(options).run())


if __name__ == "__main__":
    main()
