"""The demonstration put together: starts plant, broker, receiver, hub and gateway as processes, follows, ends and judges them.

``python -m edge_gateway.demo.run '<options as JSON>'``; the command line's ``demo`` becomes this program. stdout has the result,
stderr the talk. Nothing stays behind, neither process nor file, but what ``keep`` asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_gateway.demo.children import ChildFailed
from edge_gateway.demo.compare import sound
from edge_gateway.demo.follow import Follower, Teller
from edge_gateway.demo.site import SLACK_S, Site, SiteOptions

#: At the end: what the sinks may take to be there again, and to be served (s). With ending the gateway it stays below 15.
DELIVER_S, DRAIN_S = 5.0, 1.0
#: Twice so long: what the plant's last answers may take to be read and committed.
SETTLE_S = 0.3
#: What the gateway may take to subscribe at the broker after its first reading.
LISTEN_S = 5.0
INTERRUPTED = 130
_LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line decides. ``for_s`` None: until Ctrl-C. Durations are real seconds."""

    for_s: float | None
    speed: float
    seed: int
    as_json: bool
    keep: str | None
    language: str


def process_age_s() -> float:
    """How long ago this process was started (an exec does not change it)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s


@contextlib.contextmanager
def folders(keep: str | None) -> Iterator[tuple[Path, Path]]:
    """The demonstration's folder and one for its control socket (paths of sockets must be short); gone afterwards."""
    with contextlib.ExitStack() as stack:
        if keep is not None:
            folder = Path(keep).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise SystemExit(f"demo: {folder} is not empty; choose another folder to keep")
        else:
            folder = Path(tempfile.mkdtemp(prefix="edge-gateway-demo-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sockets = folder
        if len(str(folder)) > _LONGEST_SOCKET_PATH - len("/gateway.sock"):
            sockets = Path(tempfile.mkdtemp(prefix="egd-", dir="/tmp"))
            stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        yield folder, sockets


async def run(options: Options) -> int:
    """Run it; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    teller = Teller(options.language)
    with folders(options.keep) as (folder, sockets):
        # A poll a real second, at most one a simulated minute: the first reading comes soon at any speed.
        interval_s = min(60.0, options.speed)
        settings = SiteOptions(
            folder=folder, sockets=sockets, speed=options.speed, seed=options.seed, interval_s=interval_s
        )
        async with Site(settings, language=options.language, known_ports=not options.as_json) as site:
            running = asyncio.create_task(_live(site, options, teller, stop), name="demo")
            try:
                result = await running
            except ChildFailed as failed:
                teller.say(f"demo: {failed}", f"演示：{failed}")
                return 1
    if result is None:
        return INTERRUPTED
    _report(result, options, teller)
    return 0 if sound(result) else 1


async def started(site: Site, follower: Follower, teller: Teller, stop: asyncio.Event) -> bool:
    """Start everything, until the first reading; False when it was interrupted before that. Raises ChildFailed."""
    starting = asyncio.create_task(site.start(), name="start")
    if not await _unless(stop, starting):
        return False
    teller.addresses(site)
    return await _unless(stop, asyncio.create_task(follower.first_reading(), name="first reading"))


async def _live(site: Site, options: Options, teller: Teller, stop: asyncio.Event) -> dict[str, Any] | None:
    """Start, follow, end in order, judge. None when it was interrupted before the first reading."""
    follower = Follower(site, teller)
    if not await started(site, follower, teller, stop):
        return None
    first_reading_s = process_age_s()
    teller.say(f"First reading {first_reading_s:.1f} s after start.", f"启动后 {first_reading_s:.1f} 秒得到首个读数。")
    await play(site, follower, options.for_s, stop)
    return await site.judge() | {"first_reading_s": round(first_reading_s, 2)}


async def play(site: Site, follower: Follower, for_s: float | None, stop: asyncio.Event) -> None:
    """Play the story for so long (None: until ``stop``), then end plant and gateway in order: all that was answered has arrived.

    Raises ChildFailed.
    """
    if not await follower.listened(LISTEN_S):
        if not site.gateway.running:
            await site.gateway.ended()  # it says why
        raise ChildFailed("the gateway has not subscribed at the broker")
    await site.begin()
    following = asyncio.create_task(follower.run(), name="follow")
    ending = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({following, ending}, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        await site.hold()
        await follower.delivering(DELIVER_S)
        await site.quiet()
        await follower.settled(SETTLE_S)
        await follower.drained(DRAIN_S)
    finally:
        for task in (following, ending):
            task.cancel()
        await asyncio.gather(following, ending, return_exceptions=True)
    await site.end_gateway()


async def _unless(stop: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for the task, unless asked to stop before it ends: then it is cancelled, and False."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({stopping, task}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


def _report(result: dict[str, Any], options: Options, teller: Teller) -> None:
    for holder in ("hub", "influx"):
        for sentence in result[holder]["examples"]:
            teller.say(f"{holder}: {sentence}", f"{holder}：{sentence}")
    if options.as_json:
        order = ("readings", "violations", "hub_readings", "influx_readings", "lost", "first_reading_s")
        print(json.dumps({key: result[key] for key in order} | result, ensure_ascii=False), flush=True)
        return
    missing, altered = (sum(result[holder][key] for holder in ("hub", "influx")) for key in ("missing", "altered"))
    if result["lost"]:
        teller.say(
            f"Missing: {missing}. Held with another value, or observed more than {SLACK_S:g} s after it was given (a busy machine does that): {altered}.",
            f"缺失：{missing}。数值不同，或观测时间晚于给出 {SLACK_S:g} 秒以上（机器繁忙所致）：{altered}。",
        )
    teller.say(
        f"{result['readings']} readings by the plant's truth log; hub {result['hub_readings']}, receiver {result['influx_readings']};"
        f" lost {result['lost']}; {result['violations']} violations.",
        f"现场真值记录 {result['readings']} 个读数；监管端 {result['hub_readings']}，数据库端 {result['influx_readings']}；"
        f"丢失 {result['lost']}；违规 {result['violations']} 起。",
    )
    if options.keep is not None:
        verify = f"edge-gateway journal verify {options.keep}/state --key {options.keep}/gateway.vkey --witness {options.keep}/hub.vkey"
        teller.say(f"Verify the record yourself: {verify}", f"自行验证记录：{verify}")


def main() -> None:
    """Entry point."""
    options = Options(**json.loads(sys.argv[1]))
    need_broker(options.language)
    sys.exit(asyncio.run(run(options)))


def need_broker(language: str) -> None:
    """Ends with 1 and a sentence where the demonstration's broker is not installed."""
    if find_spec("amqtt") is None or find_spec("aiomqtt") is None:
        teller = Teller(language)
        hint = "pip install 'edge-gateway[demo]'"
        teller.say(f"demo: the demonstration's broker is not installed: {hint}", f"演示：未安装演示所需组件：{hint}")
        sys.exit(1)


if __name__ == "__main__":
    main()
