"""Witnessed, end to end: real gateway, real signer, real hub over sockets; each planted fault is alarmed and never cosigned."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.record.checkpoint import witnessed_s
from edge_gateway.record.note import ED25519, Key, Note
from regulator_hub.cosigner import Cosigner
from regulator_hub.gateways import Gateways
from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import wait_until
from tests.signer.process import SignerProcess

ID = "tlf-007"


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@dataclass
class Parts:
    """All of it in one folder. ``key``: the gateway's, ``vkey``: the hub's."""

    folder: Path
    plant: Plant
    signer: SignerProcess
    hub: HubProcess
    gateway: Gateway = field(init=False)
    key: str = ""
    vkey: str = ""

    def api(self, path: str) -> Any:
        with urlopen(f"{self.hub.url}/api/v1{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def alarms(self) -> set[str]:
        return {alarm["kind"] for alarm in self.api("/alarms")["alarms"]}

    def evidence(self) -> list[dict[str, Any]]:
        return list(self.api(f"/gateways/{ID}/evidence")["evidence"])

    def entries(self, epoch: str) -> list[bytes]:
        """What the hub holds of an epoch, from its first entry on."""
        with urlopen(f"{self.hub.url}/api/v1/gateways/{ID}/entries?epoch={epoch}&first=0&count=5000", timeout=10) as answer:
            return list(answer.read().splitlines())

    def witness(self) -> dict[str, Any]:
        return dict(self.gateway.status()["sinks"]["hub"]["witness"])

    def size(self) -> int:
        """How far the record is witnessed, by the key that the gateway knows."""
        newest = self.witness()["newest"]
        return int(newest["size"]) if newest and newest["known"] else 0

    def told(self) -> set[str]:
        """The gateway's alarms."""
        return {alarm["code"] for alarm in self.gateway.status()["alarms"]}

    def verified(self, *options: str) -> dict[str, Any]:
        done = self.gateway.verb("journal", "verify", "--key", self.key, "--json", *options)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout)) | {"exit": done.returncode}


def built(folder: Path, plant: Plant, *, via: str = "", patch: str = "", toml: str = "", vkey: bool = True) -> Parts:
    """A signer that runs, a hub that does not yet, a gateway that is registered with its key at it."""
    signer = SignerProcess(folder)
    hub = HubProcess(folder / "hub", patch=patch, toml=toml)
    parts = Parts(folder, plant, signer, hub)
    registry = Gateways(hub.state_dir / "gateways")
    (folder / "token").write_text(registry.add(ID, mqtt=bool(via), wall_us=0))
    (folder / "token").chmod(0o600)
    parts.vkey = str(Cosigner(hub.state_dir / "witness", "regulator-hub", born=True).key)
    (folder / "hub.vkey").write_text(parts.vkey + "\n")
    sink = via or f'url = "{hub.url}"'
    more = f'\n[signer]\nsocket = "{signer.socket}"\n\n[sinks.hub]\nkind = "hub"\n{sink}\ntoken_file = "{folder}/token"\ntimeout_s = 3.0\n'
    more += f'vkey = "{folder}/hub.vkey"\n' if vkey else ""
    parts.gateway = Gateway(folder, config_text(plant.port, more=more))
    return parts


def register(parts: Parts) -> None:
    """The key that ``signer key`` would print, to the hub."""
    seed = bytes.fromhex((parts.signer.folder / "signer.key").read_text())
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    parts.key = str(Key(f"example.org/xj/{ID}", ED25519, public))
    Gateways(parts.hub.state_dir / "gateways").give_key(ID, parts.key, replace=False, wall_us=0)


@pytest.fixture
def make(tmp_path: Path, plant: Plant) -> Iterator[Callable[..., Parts]]:
    made: list[Parts] = []

    def one(**options: Any) -> Parts:
        made.append(built(tmp_path, plant, **options))
        return made[-1]

    yield one
    for parts in made:
        if parts.hub.running:
            parts.hub.kill()
        parts.signer.kill()


def test_the_record_is_witnessed_within_seconds(make: Callable[..., Parts]) -> None:
    parts = make()
    with parts.hub, parts.gateway:
        parts.gateway.wait(lambda: "no key is registered" in parts.witness()["why"], "the hub knows no key yet")
        assert parts.size() == 0
        assert "witnessed nothing yet" in parts.gateway.verb("status").stdout
        register(parts)
        assert parts.gateway.verb("signer", "key").stdout.strip() == parts.key
        parts.gateway.wait(lambda: parts.size() > 0, "the first cosignature")
        before = parts.size()
        parts.plant.set(1, THAWED)  # a violation is signed at once, and witnessed after that
        began = time.monotonic()
        parts.gateway.wait(lambda: parts.gateway.status()["violations"] != [], "the violation")
        parts.gateway.wait(lambda: parts.size() > before, "its cosignature")
        assert time.monotonic() - began < 10
        said = parts.gateway.verb("status").stdout
        assert "witnessed through entry" in said
        assert "signed    " in said
    stopped = parts.verified("--witness", parts.vkey)
    assert (stopped["outcome"], stopped["exit"]) == ("verified", 0), stopped
    assert abs(stopped["checkpoint"]["witnessed_s"] - time.time()) < 60
    assert stopped["checkpoint"]["size"] == stopped["epochs"][-1]["size"]  # the last one, at the stop, is witnessed too
    assert "witnessed at" in parts.gateway.verb("journal", "verify", "--key", parts.key, "--witness", parts.vkey).stdout
    with parts.hub:
        assert parts.alarms() == set()
        with urlopen(f"{parts.hub.url}/api/v1/gateways/{ID}/checkpoint", timeout=10) as answer:
            note = answer.read()
        assert witnessed_s(Note.parse(note), Key.parse(parts.vkey))
        (parts.folder / "newest").write_bytes(note)
    against = parts.verified("--witness", parts.vkey, "--against", str(parts.folder / "newest"))
    assert against["outcome"] == "verified"


def test_evidence_is_taken_out_beside_the_running_gateway(make: Callable[..., Parts]) -> None:
    """The hub's newest checkpoint is taken first; what it covers must be in the pack that is made then. Fingerprints are all that is known."""
    parts = make()
    register(parts)
    pack, newest = parts.folder / "now.zip", parts.folder / "newest"
    with parts.hub, parts.gateway:
        parts.plant.set(1, THAWED)
        parts.gateway.wait(lambda: parts.gateway.status()["violations"] != [], "the violation")
        before = parts.size()
        parts.gateway.wait(lambda: parts.size() > before, "its cosignature")
        with urlopen(f"{parts.hub.url}/api/v1/gateways/{ID}/checkpoint", timeout=10) as answer:
            newest.write_bytes(answer.read())
        made = parts.gateway.verb("journal", "export", "--out", str(pack))
        assert made.returncode == 0, made.stderr
        violation = parts.gateway.status()["violations"][0]["violation"]
        parts.gateway.verb("journal", "export", "--violation", violation, "--out", str(parts.folder / "violation.zip"))
        proof = parts.gateway.verb("journal", "prove", parts.gateway.status()["journal"]["epoch"], "0", "--out", str(parts.folder / "first"))
        assert proof.returncode == 0, proof.stderr
    keys = ("--key", Key.parse(parts.key).fingerprint, "--witness", Key.parse(parts.vkey).fingerprint)
    for file, more in ((pack, ("--against", str(newest))), (parts.folder / "violation.zip", ())):
        done = parts.gateway.verb("journal", "verify", str(file), "--json", *keys, *more)
        said = json.loads(done.stdout)
        assert (said["outcome"], done.returncode) == ("verified", 0), said
        assert abs(said["through"][-1]["witnessed_s"] - time.time()) < 60
    one = parts.gateway.verb("journal", "verify", str(parts.folder / "first.tlog-proof"), "--key", parts.key, "--witness", parts.vkey)
    assert one.returncode == 0, one.stdout
    assert (parts.folder / "first.tlog-proof").stat().st_size < 2048


def test_over_a_broker_too(make: Callable[..., Parts], tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        toml = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        via = 'via = "mqtt"\nbus = "broker"\n'
        parts = make(via=via, toml=toml)
        text = parts.gateway.config.read_text()
        parts.gateway.write(text + f'\n[buses.broker]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\n')
        register(parts)
        with parts.hub, parts.gateway:
            parts.gateway.wait(lambda: parts.size() > 0, "the first cosignature", 60)
            assert parts.alarms() == set()


def test_a_reconnect_is_signed_and_witnessed_at_once(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.hub, parts.gateway:
        witnessed(parts)
        began, signed = time.monotonic(), parts.gateway.status()["signing"]["newest"]["size"]
        parts.hub.kill()
        parts.gateway.wait(lambda: parts.gateway.status()["sinks"]["hub"]["state"] != "ok", "the hub to be missed")
        parts.hub.start()
        parts.gateway.wait(lambda: parts.size() > signed, "what was committed meanwhile to be witnessed", 30)
        assert time.monotonic() - began < 25  # the next regular one would come after 30 s


def witnessed(parts: Parts) -> int:
    """Until the hub cosigned something; its size."""
    parts.gateway.wait(lambda: parts.size() > 0, "the first cosignature", 60)
    return parts.size()


def test_without_the_hubs_key_a_cosignature_is_kept_and_does_not_count(make: Callable[..., Parts]) -> None:
    parts = make(vkey=False)
    register(parts)
    with parts.hub, parts.gateway:
        parts.gateway.wait(lambda: bool(parts.witness()["newest"]), "a cosignature", 60)
        assert (parts.witness()["newest"]["known"], parts.witness()["key"]) == (False, None)
        assert "set vkey of [sinks.hub]" in parts.gateway.verb("status").stdout
    assert parts.verified("--witness", parts.vkey)["outcome"] == "verified"


def test_a_forged_cosignature_is_alarmed_and_not_kept(make: Callable[..., Parts]) -> None:
    """Planted: a hub (or what stands before it) that signs with another key under the right name and id."""
    parts = make(
        patch=(
            "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K\n"
            "from regulator_hub import cosigner\nfrom edge_gateway.record.checkpoint import cosignature, cosigned_message\n"
            "cosigner.Cosigner.cosign = lambda s, body, t: cosignature(s.key, t, K.generate().sign(cosigned_message(body, t)))"
        )
    )
    register(parts)
    with parts.hub, parts.gateway:
        parts.gateway.wait(lambda: "forged-cosignature" in parts.told(), "the alarm", 60)
        assert parts.witness()["newest"] is None
    refused = parts.gateway.verb("journal", "verify", "--key", parts.key, "--witness", parts.vkey)
    assert refused.returncode == 3
    assert "no checkpoint here carries a valid cosignature" in refused.stdout


def test_another_signers_key_is_alarmed_on_both_sides(make: Callable[..., Parts]) -> None:
    """Planted: a clone with a signer of its own; the hub knows the first one's key."""
    parts = make()
    register(parts)
    parts.signer.kill()
    shutil.rmtree(parts.signer.folder)
    parts.signer.start()
    with parts.hub:
        with parts.gateway:
            parts.gateway.wait(lambda: "foreign-key" in parts.told(), "the alarm", 60)
        assert "foreign-key" in parts.alarms()
        kept = [each for each in parts.evidence() if each["kind"] == "foreign-key"]
        assert kept
        assert Note.parse(kept[0]["offered"].encode())


def test_a_fork_is_alarmed_on_both_sides(make: Callable[..., Parts]) -> None:
    """Planted: an entry deep in the hub's store is another one, before anything was cosigned."""
    parts = make()
    with parts.hub, parts.gateway:
        parts.gateway.wait(lambda: parts.gateway.status()["sinks"]["hub"]["delivered"] > 5, "entries at the hub")
        parts.hub.stop()
        register(parts)
        db = apsw.Connection(str(parts.hub.state_dir / "hub.sqlite"))
        first = "(SELECT min(key) FROM entries WHERE CAST(entry AS TEXT) LIKE '%\"batch\"%')"
        db.execute(f"UPDATE entries SET entry=CAST(replace(CAST(entry AS TEXT), '-19', '-29') AS BLOB) WHERE key={first}")
        assert db.changes() == 1
        db.close()
        parts.hub.start()
        parts.gateway.wait(lambda: "fork" in parts.told(), "the alarm", 60)
        assert parts.size() == 0
        assert parts.alarms() == {"fork"}
        (kept, *_) = [each for each in parts.evidence() if each["kind"] == "fork"]
        assert Note.parse(kept["offered"].encode())


def test_a_hub_from_an_old_copy_alarms_is_served_again_and_goes_on(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.gateway:
        with parts.hub:
            witnessed(parts)
        shutil.copy(parts.hub.state_dir / "hub.sqlite", parts.folder / "old")
        with parts.hub:
            before = parts.size()
            parts.plant.set(1, THAWED)
            parts.gateway.wait(lambda: parts.size() > before, "more is witnessed", 60)
        shutil.copy(parts.folder / "old", parts.hub.state_dir / "hub.sqlite")
        with parts.hub:
            before = parts.size()
            assert parts.alarms() == {"store-behind"}
            parts.plant.set(2, THAWED)
            parts.gateway.wait(lambda: parts.size() > before, "witnessed again", 60)
            assert parts.alarms() == {"store-behind"}
            assert parts.told() == {"hub-behind"}
            assert "receipt" in {each["kind"] for each in parts.evidence()}  # it was shown its own word


def test_a_gateway_set_back_is_alarmed_on_both_sides(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.hub:
        with parts.gateway:
            old = witnessed(parts)
        shutil.copytree(parts.gateway.state, parts.folder / "older")
        with parts.gateway:
            parts.plant.set(1, THAWED)
            parts.gateway.wait(lambda: parts.size() > old + 5, "more is witnessed", 60)
        shutil.rmtree(parts.gateway.state)
        shutil.copytree(parts.folder / "older", parts.gateway.state)
        with parts.gateway:
            parts.gateway.wait(lambda: "roll-back" in parts.told(), "the alarm", 60)
            parts.gateway.wait(lambda: bool(parts.witness()["pending"]), "the new epoch waits at the hub", 60)
            (epoch,) = parts.witness()["pending"]
            assert f"pending   at the hub hub  {epoch}" in parts.gateway.verb("status").stdout
            shown = lambda: {row["epoch"] for row in parts.api(f"/gateways/{ID}/points")["points"]}  # noqa: E731
            parts.gateway.wait(lambda: shown() == {epoch}, f"it is shown as usual meanwhile: {shown()}")
            (row,) = parts.api("/gateways")["gateways"]
            (branch,) = [each for each in row["epochs"] if each["branch_of"]]
            assert branch["size"] > branch["branch_of"]["size"] > 0  # what the old card wrote before it met the hub
            first = json.loads(parts.entries(epoch)[0])["previous"]
            assert (first["reason"], first["cosigned"]["epoch"]) == ("roll-back", first["epoch"])
            assert witnessed_s(Note.parse(first["cosigned"]["note"].encode()), Key.parse(parts.vkey))
            Gateways(parts.hub.state_dir / "gateways").accept(ID, epoch, by="duty", reason="an old card", wall_us=1)
            parts.gateway.wait(lambda: parts.witness()["newest"]["epoch"] == epoch, "it is cosigned once accepted", 60)
            assert parts.witness()["pending"] == []
        assert {"roll-back"} <= parts.alarms() <= {"roll-back", "live-differs"}


def test_an_older_hub_is_met_and_the_gateway_goes_on(make: Callable[..., Parts]) -> None:
    parts = make(patch="from regulator_hub.desk import Desk\ndel Desk._handlers['checkpoint']")
    with parts.hub, parts.gateway:
        parts.gateway.wait(lambda: "older release" in parts.witness()["why"], "the answer", 60)
        before = parts.gateway.status()["sinks"]["hub"]["delivered"]
        parts.gateway.wait(lambda: parts.gateway.status()["sinks"]["hub"]["delivered"] > before + 5, "entries go on")
        assert parts.told() == set()


def test_kills_of_all_three_raise_no_alarm(make: Callable[..., Parts]) -> None:
    """N = 3 kills -9 at random moments (seed 5) of gateway, hub and signer in turn: an honest record is never called a fork."""
    parts, random_, reached = make(), random.Random(5), 0
    register(parts)
    with parts.hub:
        for n in range(3):
            parts.gateway.start()
            least = max(reached, n + 1)
            parts.gateway.wait(lambda least=least: parts.size() >= least, "it is witnessed as far as before", 60)
            parts.plant.set(1 + n % 3, (THAWED, -200)[n // 3 % 2])  # checkpoints at once
            time.sleep(random_.uniform(0.3, 1.5))
            if n % 3 == 1:
                parts.hub.kill()
                parts.hub.start()
            elif n % 3 == 2:
                parts.signer.kill()
                parts.signer.start()
            assert parts.told() == set()
            parts.gateway.kill()
            epochs = parts.api("/gateways")["gateways"][0]["epochs"]
            reached = max(each["witnessed"] or 0 for each in epochs)
        assert parts.alarms() == set()
    assert parts.verified("--witness", parts.vkey)["outcome"] == "verified"


def test_a_hub_killed_between_its_memory_and_the_answer(make: Callable[..., Parts], tmp_path: Path) -> None:
    """Planted: kill -9 once what it is about to cosign is synced. Started again, it cosigns, and nothing is alarmed."""
    patch = (
        "import os, signal, pathlib\nfrom regulator_hub.cosigner import Cosigner\n"
        "right, once = Cosigner.cosign, pathlib.Path('killed')\n"
        "def cosign(self, body, time_s):\n"
        "    if not once.exists():\n        once.touch()\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return right(self, body, time_s)\n"
        "Cosigner.cosign = cosign"
    )
    killed = tmp_path / "killed"
    parts = make(patch=patch.replace("'killed'", repr(str(killed))))
    register(parts)
    with parts.gateway:
        parts.hub.start()
        wait_until(lambda: not parts.hub.running, "the hub is killed", 60)
        assert killed.exists()
        parts.hub.start()
        parts.gateway.wait(lambda: parts.size() > 0, "a cosignature", 60)
        assert parts.alarms() == set()
        assert parts.told() == set()
