"""The silence campaign: gateways killed, frozen, cut off or hung, one by one; the hub must say so in time, and once.

`python -m tests.faults.silence --n 200 --seed 1`: real gateways with nothing to read (their ticks are all there is to hear), over HTTP and
MQTT, each behind a cable of its own, and a hub that is itself killed now and then. `--scale 0.1` shortens all times alike (dark after 9 s instead
of 90 s); `--real N` of the faults run unscaled. A simulated gateway-year over the real watch follows (silence_year.py). The last line is
JSON; exit 1 when a silence was declared late, not at all or twice, when the watchdog did not hunger, and when a planted fault was not found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.app.systemd import Manager
from tests.faults import results
from tests.faults.silence_year import year
from tests.faults.watching_proxy import Cable, Proxies, Unwatched
from tests.regulator_hub.harness import HubProcess, registered
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import REPOSITORY, ServerProcess, wait_until

DARK_S, WATCHDOG_S = 90.0, 30.0
#: What happens to a gateway (``deaf``: only answers are lost, so what it sends next is still heard); after those of FROZEN its own watchdog must hunger, so that systemd starts it anew.
KINDS = ("kill", "stop", "hung", "intake", "cut", "deaf", "refused")
FROZEN = frozenset({"stop", "hung", "intake"})
CABLE = frozenset({"cut", "deaf", "refused"})
#: What a message that was on its way when the fault came may take to be counted (s).
UNDER_WAY_S = 0.5
PLANTED = {
    "keep-alive-counted": (
        "from regulator_hub.watch import Watch\n"
        "Watch.met = lambda self, gateway: self._heard_s.__setitem__(gateway, self._mono_s())"
    ),
    "declared-twice": (
        "from regulator_hub import watch\nlook, alarm = watch.Watch.look, watch.alarm\n"
        "def again(db, gateway, kind, about, now_us, detail):\n"
        "    watch.end_alarm(db, gateway, kind, about, now_us)\n    alarm(db, gateway, kind, about, now_us, detail)\n"
        "async def looks(self):\n    await look(self)\n    self.dark.clear()\n"
        "watch.alarm, watch.Watch.look = again, looks"
    ),
}


@dataclass
class Found:
    """What the campaign counts; the first five must be zero."""

    missed: int = 0
    late: int = 0
    twice: int = 0
    counted_after: int = 0
    not_starved: int = 0
    false_alarms: int = 0
    restarted_wrongly: int = 0
    declared: int = 0
    worst_s: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    hub_kills: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        wrong = (self.missed, self.late, self.twice, self.counted_after, self.not_starved, self.false_alarms, self.restarted_wrongly)
        return self.declared > 0 and not any(wrong)

    def note(self, sentence: str) -> None:
        if len(self.examples) < 8:
            self.examples.append(sentence)


class Gateway:
    """One gateway, its cable, and systemd's side of its watchdog."""

    def __init__(self, name: str, folder: Path, scale: float, process: ServerProcess, cable: Cable) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.process = process
        self.cable = cable
        self.fault, self.at_us, self.fed_s = "", 0, 0.0
        self._watchdog_s = WATCHDOG_S * scale
        self._manager = Manager(folder)
        process.environment |= {
            "NOTIFY_SOCKET": self._manager.address, "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6)),
        }  # fmt: skip
        threading.Thread(target=self._listen, name=f"systemd {name}", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                if "WATCHDOG=1" in self._manager.word(0.5):
                    self.fed_s = time.monotonic()

    def close(self) -> None:
        self.process.kill()
        self._manager.close()

    @property
    def starves(self) -> bool:
        """systemd would have killed it."""
        return time.monotonic() - self.fed_s > self._watchdog_s

    def suffer(self, fault: str) -> None:
        """The fault begins."""
        self.fault = fault
        match fault:
            case "kill":
                self.process.kill()
            case "cut":
                self.cable.cut()
            case "deaf":
                self.cable.cut("down")
            case "refused":
                self.cable.refuses = True
                self.cable.cut()
            case _:
                self.process.send({"stop": signal.SIGSTOP, "hung": signal.SIGUSR1, "intake": signal.SIGALRM}[fault])
        self.at_us = time.time_ns() // 1000

    def recover(self) -> None:
        """It ends: the cable is mended, or the process started anew."""
        if self.fault in CABLE:
            self.cable.mend()
        else:
            self.process.restart()


class Campaign:
    """A hub, a broker and gateways; ``found`` is what the rounds showed."""

    def __init__(self, folder: Path, *, gateways: int, scale: float, seed: int, planted: str) -> None:
        self.folder = folder
        self.scale = scale
        self.dark_s = DARK_S * scale
        self.found = Found()
        self.random = random.Random(seed)
        self._broker = Mosquitto(folder / "mosquitto")
        toml = f'dark_after_s = {self.dark_s}\n[mqtt]\nhost = "127.0.0.1"\nport = {self._broker.port}\n'
        self.hub = HubProcess(folder / "hub", patch=PLANTED.get(planted, ""), toml=toml)
        self._proxies = Proxies()
        self._count = gateways
        self.gateways: list[Gateway] = []
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._proxies)
            ends.enter_context(self._broker)
            self.gateways = [self._gateway(number) for number in range(self._count)]
            for gateway in self.gateways:
                ends.callback(gateway.close)
            ends.enter_context(self.hub)
            with ThreadPoolExecutor(4) as at_once:
                list(at_once.map(lambda gateway: gateway.process.start(), self.gateways))
            self._ends = ends.pop_all()
        self._all_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _gateway(self, number: int) -> Gateway:
        name, via_mqtt = f"g{number}", number % 2 == 1
        folder = self.folder / name
        folder.mkdir(parents=True)
        token = folder / "token"
        token.write_text(registered(self.hub.state_dir, name, mqtt=True))
        token.chmod(0o600)
        port = self._proxies.open(self._broker.port if via_mqtt else self.hub.port, Unwatched)
        way = 'via = "mqtt"\nbus = "mq"' if via_mqtt else f'via = "http"\nurl = "http://127.0.0.1:{port}"'
        config = folder / "gateway.toml"
        config.write_text(
            f'[site]\nid = "{name}"\norigin = "example.org"\nname_zh = "静"\nname_en = "Silence"\n'
            '[clock]\ntrust = "declared"\n[journal]\nmax_bytes = "1GB"\ncommit_every_s = 0.2\n[page]\nlisten = ""\n'
            + (f'[buses.mq]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {port}\n' if via_mqtt else "")
            + f'[sinks.hub]\nkind = "hub"\n{way}\ntoken_file = "{token}"\ntimeout_s = {max(1.0, 10 * self.scale)}\n'
        )
        words = [config, folder / "state", folder / "control.sock", self.scale, self.hub.url, name, token]
        command = [sys.executable, "-m", "tests.faults.launch_silence", *map(str, words)]
        process = ServerProcess(name, command, folder, (folder / "control.sock").is_socket)
        process.environment = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
        return Gateway(name, folder, self.scale, process, self._proxies.cables[port])

    # --- what the hub says --------------------------------------------------------------------------------------

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.hub.url}/api/v1{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def _dark(self) -> dict[str, bool]:
        return {each["gateway"]: bool(each["dark"]) for each in self._get("/gateways")["gateways"]}

    def _all_alive(self) -> None:
        def alive() -> bool:
            dark = self._dark()
            return all(dark.get(gateway.name) is False for gateway in self.gateways)

        wait_until(alive, "all gateways alive", 60.0 + 60.0 * self.scale)

    def _darks(self, gateway: Gateway) -> list[dict[str, Any]]:
        """The alarms of its silences, oldest first."""
        found = [alarm for alarm in self._get(f"/gateways/{gateway.name}/alarms")["alarms"] if alarm["kind"] == "dark"]
        return sorted(found, key=lambda alarm: int(alarm["since_us"]))

    # --- rounds -------------------------------------------------------------------------------------------------

    def round(self, faults: Sequence[str]) -> None:
        """One fault for each gateway, until the hub has said so; then all recover."""
        known = {gateway.name: len(self._darks(gateway)) for gateway in self.gateways}
        for gateway, fault in zip(self.gateways, faults, strict=False):
            time.sleep(self.random.uniform(0, 2.0 * self.scale))
            gateway.suffer(fault)
        hit = self.gateways[: len(faults)]
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: all(self._dark().get(each.name) for each in hit), "all dark", self.dark_s * 1.3 + 2.0)
        self._look_at_watchdogs(hit)
        if self.random.random() < 0.4:
            self.found.hub_kills += 1
            self.hub.restart()
            time.sleep(self.random.uniform(0.5, 1.2) * self.dark_s * 0.5)
        seen = {gateway.name: self._darks(gateway)[known[gateway.name] :] for gateway in hit}
        with ThreadPoolExecutor(4) as at_once:
            list(at_once.map(Gateway.recover, hit))
        self._all_alive()
        for gateway in hit:
            self._judge(gateway, seen[gateway.name], self._darks(gateway)[known[gateway.name] :])
            gateway.fault = ""

    def _look_at_watchdogs(self, hit: Sequence[Gateway]) -> None:
        for gateway in hit:
            if gateway.fault in FROZEN and not gateway.starves:
                self.found.not_starved += 1
                self.found.note(f"{gateway.name}: {gateway.fault}, and its watchdog was fed")
            elif gateway.fault in CABLE and gateway.starves:
                self.found.restarted_wrongly += 1
                self.found.note(f"{gateway.name}: {gateway.fault}, and its watchdog would have ended it")

    def _judge(self, gateway: Gateway, seen: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> None:
        found, what = self.found, f"{gateway.name}: {gateway.fault}"
        found.kinds[gateway.fault] += 1
        if not seen:
            found.missed += 1
            found.note(f"{what}, never declared")
            return
        if len(after) > 1 or any(alarm["until_us"] is None for alarm in after):
            found.twice += 1
            found.note(f"{what}, declared {len(after)} times")
        first = seen[0]
        last_us, since_us = int(first["detail"]["last_us"]), int(first["since_us"])
        silent_s = (since_us - last_us) / 1e6
        found.worst_s = max(found.worst_s, silent_s)
        if since_us < gateway.at_us:
            found.false_alarms += 1
            found.note(f"{what}, declared before")
        elif silent_s > self.dark_s or (gateway.fault != "deaf" and since_us - gateway.at_us > self.dark_s * 1e6):
            found.late += 1
            found.note(f"{what}, declared {silent_s:.2f} s after its last sign of life")
        elif gateway.fault != "deaf" and last_us > gateway.at_us + UNDER_WAY_S * 1e6:
            found.counted_after += 1
            found.note(f"{what}, heard {(last_us - gateway.at_us) / 1e6:.2f} s after it")
        else:
            found.declared += 1

    def rounds(self, n: int, budget_s: float) -> None:
        """``n`` faults, as many at once as there are gateways, or as many as the time allows."""
        ends_s = time.monotonic() + budget_s
        done = 0
        while done < n and time.monotonic() < ends_s:
            kinds = [*KINDS, *(self.random.choice(KINDS) for _ in self.gateways)][: len(self.gateways)]
            self.random.shuffle(kinds)
            self.round(kinds[: n - done])
            done += min(len(kinds), n - done)


def campaign(
    folder: Path, *, n: int, seed: int, scale: float, gateways: int = 8, planted: str = "", budget_s: float = 3600.0
) -> dict[str, Any]:
    """Run it; the JSON-able counts with `passed`."""
    with Campaign(folder, gateways=min(gateways, n), scale=scale, seed=seed, planted=planted) as run:
        run.rounds(n, budget_s)
    found = run.found
    return {**asdict(found), "kinds": dict(found.kinds), "n": found.kinds.total(), "dark_after_s": run.dark_s, "passed": found.sound}


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--real", type=int, default=8, help="of the faults, how many with the real 90 s")
    parser.add_argument("--years", type=float, default=1.0, help="gateway-years to simulate")
    parser.add_argument("--budget-s", type=float, default=1800.0)
    options = parser.parse_args()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="silence-") as name:
        folder = Path(name)
        scaled = campaign(folder / "scaled", n=options.n - options.real, seed=options.seed, scale=options.scale, budget_s=options.budget_s)
        real = campaign(folder / "real", n=options.real, seed=options.seed, scale=1.0) if options.real else {"passed": True, "n": 0}
        planted = {
            kind: not campaign(folder / kind, n=7, seed=options.seed, scale=options.scale, gateways=7, planted=kind)["passed"]
            for kind in PLANTED
        }
        simulated = asyncio.run(year(folder / "year", seed=options.seed, years=options.years))
        planted |= simulated.pop("planted")
    passed = scaled["passed"] and real["passed"] and simulated["passed"] and all(planted.values())
    result = {
        "n": scaled["n"] + real["n"], "seed": options.seed, "scaled": scaled, "real": real, "year": simulated, "planted": planted,
        "seconds": round(time.monotonic() - began, 1), "passed": passed,
    }  # fmt: skip
    results.append("silence", result)
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
