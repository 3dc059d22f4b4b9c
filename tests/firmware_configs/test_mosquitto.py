"""The brokers' files in the real mosquitto: who may say and hear what, and what survives a kill -9.

Paths and ports are put in at test time; everything else is the shipped text, included by a main file as Debian's is.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.servers.certificates import CertificateAuthority
from tests.servers.process import ServerProcess, accepts_tcp, find_program, free_port, wait_until

FOLDER = Path(__file__).resolve().parents[2] / "firmware_configs/mosquitto"
USERS = {
    "site": ("edge-gateway", "zigbee2mqtt", "cold2-probes", "hall-probes"),
    "hub": ("regulator-hub", "tlf-007", "tlf-008"),
}
NAMES = {"site": "edge-gateway", "hub": "regulator-hub"}  # of the acl and passwd files on the machine


class Broker(ServerProcess):
    """mosquitto with one of the shipped files in its conf.d; `drop` leaves out lines that start so (a planted fault)."""

    def __init__(self, folder: Path, kind: str, *, drop: str | None = None) -> None:
        self.port, self.tls_port = free_port(), free_port()
        (folder / "conf.d").mkdir(parents=True)
        self.state = folder / "state"
        self.state.mkdir()
        acl = (FOLDER / f"{kind}.acl").read_text()
        (folder / f"{NAMES[kind]}.acl").write_text(acl)
        (folder / f"{NAMES[kind]}.acl").chmod(0o600)
        passwords = folder / f"{NAMES[kind]}.passwd"
        passwords.write_text("".join(f"{user}:pw-{user}\n" for user in USERS[kind]))
        passwords.chmod(0o600)
        subprocess.run([find_program("mosquitto_passwd"), "-U", str(passwords)], check=True, capture_output=True)
        self.tls = CertificateAuthority(folder / "certs").issue("127.0.0.1")
        main = folder / "mosquitto.conf"
        main.write_text(
            "user root\npersistence true\nlog_dest stderr\n"
            f"persistence_location {self.state}/\ninclude_dir {folder}/conf.d\n"
        )
        (folder / "conf.d/site.conf").write_text(self._shipped(kind, folder, drop))
        command = [find_program("mosquitto"), "-c", str(main)]
        super().__init__("mosquitto", command, folder, lambda: accepts_tcp(self.port))

    def _shipped(self, kind: str, folder: Path, drop: str | None) -> str:
        text = (FOLDER / f"{kind}.conf").read_text()
        text = text.replace("listener 1883 127.0.0.1", f"listener {self.port} 127.0.0.1", 1)
        text = text.replace("listener 8883", f"listener {self.tls_port} 127.0.0.1")
        text = text.replace("/etc/mosquitto/certs/hub.crt", str(self.tls.certificate_file))
        text = text.replace("/etc/mosquitto/certs/hub.key", str(self.tls.key_file))
        text = text.replace("/etc/mosquitto/", f"{folder}/")
        if drop is None:
            return text
        kept = [line for line in text.splitlines() if not line.startswith(drop)]
        assert len(kept) < len(text.splitlines()), f"nothing starts with {drop!r}"
        return "\n".join(kept) + "\n"


class Peer:
    """One client that collects what it hears."""

    def __init__(
        self, broker: Broker, user: str, *, password: str | None = None, name: str = "", tls: bool = False
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = threading.Event()
        self.refused: str | None = None
        self.acknowledged: dict[int, str] = {}
        self.subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name or f"{user}-c", protocol=mqtt.MQTTv5)
        if user:
            self.client.username_pw_set(user, password or f"pw-{user}")
        if tls:
            self.client.tls_set(ca_certs=str(broker.tls.ca_file))
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda _c, _u, message: self.heard.append((message.topic, message.payload))
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.acknowledged.__setitem__(mid, str(reason))
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        keep = Properties(PacketTypes.CONNECT)
        keep.SessionExpiryInterval = 3600
        port = broker.tls_port if tls else broker.port
        self.client.connect("127.0.0.1", port, clean_start=False, properties=keep)
        self.client.loop_start()
        wait_until(lambda: self.connected.is_set() or self.refused is not None, f"{user or 'nobody'} answered")

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _props: object) -> None:
        if str(reason) == "Success":
            self.connected.set()
        else:
            self.refused = str(reason)

    def subscribe(self, topic: str) -> None:
        self.subscribed.clear()
        self.client.subscribe(topic, qos=1)
        assert self.subscribed.wait(5.0)

    def publish(self, topic: str, payload: bytes = b"x") -> str:
        """The broker's reason code for one QoS 1 message."""
        mid = self.client.publish(topic, payload, qos=1).mid
        wait_until(lambda: mid in self.acknowledged, f"PUBACK for {topic}")
        return self.acknowledged[mid]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def peer(broker: Broker, user: str, **options: object) -> Iterator[Peer]:
    one = Peer(broker, user, **options)  # type: ignore[arg-type]
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", "hub") as broker:
        yield broker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", "site") as broker:
        yield broker


REFUSED = "Not authorized"


@pytest.mark.parametrize("kind", ["site", "hub"])
def test_it_loads_without_a_complaint(tmp_path: Path, kind: str) -> None:
    with Broker(tmp_path / "broker", kind) as broker:
        said = broker.output().replace("Warning: Mosquitto should not be run as root/administrator.", "")
        assert "Error" not in said
        assert "Warning" not in said


@pytest.mark.parametrize("kind", ["site", "hub"])
def test_strangers_and_wrong_passwords_are_refused(tmp_path: Path, kind: str) -> None:
    with Broker(tmp_path / "broker", kind) as broker:
        for user, password in (("", None), ("nobody", None), (USERS[kind][0], "wrong")):
            with peer(broker, user, password=password, name="stranger") as stranger:
                assert stranger.refused == REFUSED
                assert not stranger.connected.is_set()


def test_the_hubs_network_listener_speaks_tls_and_refuses_strangers(hub: Broker) -> None:
    with peer(hub, "tlf-007", tls=True) as gateway:
        assert gateway.publish("rh/v1/tlf-007/up") in {"Success", "No matching subscribers"}
    with peer(hub, "", tls=True, name="stranger") as stranger:
        assert stranger.refused == REFUSED


def test_a_gateway_publishes_only_its_own_tree(hub: Broker) -> None:
    with peer(hub, "regulator-hub") as listener, peer(hub, "tlf-007") as gateway:
        listener.subscribe("rh/v1/+/up")
        refused = {
            topic: gateway.publish(topic)
            for topic in ("rh/v1/tlf-008/up", "rh/v1/tlf-007/down", "rh/v1/tlf-008/down", "rh/v1/tlf-007/up/x", "other")
        }
        assert set(refused.values()) == {REFUSED}, refused
        assert gateway.publish("rh/v1/tlf-007/up", b"mine") == "Success"
        wait_until(lambda: bool(listener.heard), "the hub heard it")
        assert listener.heard == [("rh/v1/tlf-007/up", b"mine")]


def test_a_gateway_hears_only_its_own_tree(hub: Broker) -> None:
    with peer(hub, "regulator-hub") as speaker, peer(hub, "tlf-007") as gateway, peer(hub, "tlf-008") as other:
        for topic in ("rh/v1/+/down", "rh/v1/+/up", "#"):
            gateway.subscribe(topic)
        other.publish("rh/v1/tlf-008/up", b"foreign up")
        speaker.publish("rh/v1/tlf-008/down", b"foreign down")
        speaker.publish("rh/v1/tlf-007/down", b"mine")
        # One connection delivers in order: had the foreign ones been granted, they would stand before this one.
        wait_until(lambda: ("rh/v1/tlf-007/down", b"mine") in gateway.heard, "its own answer")
        assert {topic for topic, _ in gateway.heard} == {"rh/v1/tlf-007/down"}


def test_the_hub_speaks_only_downwards(hub: Broker) -> None:
    with peer(hub, "regulator-hub") as speaker:
        assert speaker.publish("rh/v1/tlf-007/up") == REFUSED
        assert speaker.publish("rh/v1/tlf-007/down") in {"Success", "No matching subscribers"}


@pytest.mark.parametrize("drop", [None, "use_username_as_clientid"])
def test_a_gateway_cannot_take_over_anothers_session(tmp_path: Path, drop: str | None) -> None:
    with Broker(tmp_path / "broker", "hub", drop=drop) as broker, peer(broker, "tlf-007", name="tlf-007") as gateway:
        gone = threading.Event()
        gateway.client.on_disconnect = lambda *_: gone.set()
        with peer(broker, "tlf-008", name="tlf-007"), peer(broker, "regulator-hub") as speaker:
            if drop is not None:  # the planted fault
                assert gone.wait(5.0)
                return
            gateway.subscribe("rh/v1/tlf-007/down")
            speaker.publish("rh/v1/tlf-007/down", b"still mine")
            wait_until(lambda: bool(gateway.heard), "the first session lives")
            assert not gone.is_set()


def test_on_the_site_nodes_write_their_own_branch_and_the_gateway_commands_nobody(site: Broker) -> None:
    with peer(site, "edge-gateway") as gateway, peer(site, "cold2-probes") as node, peer(site, "zigbee2mqtt") as bridge:
        gateway.subscribe("tele/+/SENSOR")
        gateway.subscribe("zigbee2mqtt/#")
        assert node.publish("tele/hall-probes/SENSOR") == REFUSED
        assert node.publish("zigbee2mqtt/cold1-door-th") == REFUSED
        assert node.publish("tele/cold2-probes/SENSOR", b"{}") == "Success"
        assert bridge.publish("zigbee2mqtt/cold1-door-th", b"{}") == "Success"
        for topic in ("cmnd/cold2-probes/TelePeriod", "zigbee2mqtt/cold1-door-th/set", "tele/cold2-probes/SENSOR"):
            assert gateway.publish(topic) == REFUSED
        wait_until(lambda: len(gateway.heard) == 2, "both readings")
        assert sorted(topic for topic, _ in gateway.heard) == ["tele/cold2-probes/SENSOR", "zigbee2mqtt/cold1-door-th"]


def queue_then_kill(broker: Broker, count: int) -> list[bytes]:
    """What a persistent session gets after the broker was killed with `count` acknowledged messages queued for it."""
    with peer(broker, "edge-gateway", name="gw") as gateway:
        gateway.subscribe("tele/+/SENSOR")
    with peer(broker, "cold2-probes") as node:
        sent = [node.publish("tele/cold2-probes/SENSOR", b"reading-%04d" % n) for n in range(count)]
        assert set(sent) == {"Success"}
        # PUBACK and the write are not ordered: give the write of the last message its moment, as the file says.
        database = broker.state / "mosquitto.db"
        last = b"reading-%04d" % (count - 1)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: database.exists() and last in database.read_bytes(), "the queue on disk", 2.0)
        broker.kill()
    broker.start()
    with peer(broker, "edge-gateway", name="gw") as gateway, peer(broker, "hall-probes") as marker:
        gateway.subscribe("tele/+/SENSOR")
        marker.publish("tele/hall-probes/SENSOR", b"end")
        wait_until(
            lambda: bool(gateway.heard) and gateway.heard[-1][1] == b"end", "everything queued before the marker"
        )
        return [payload for _, payload in gateway.heard[:-1]]


@pytest.mark.parametrize("count", [1, 100])
def test_an_acknowledged_message_survives_kill_9_of_the_sites_broker(site: Broker, count: int) -> None:
    assert queue_then_kill(site, count) == [b"reading-%04d" % n for n in range(count)]


def test_without_the_autosave_lines_it_is_lost(tmp_path: Path) -> None:
    """The planted fault: mosquitto's default keeps an acknowledged queue in memory for half an hour."""
    with Broker(tmp_path / "broker", "site", drop="autosave") as broker:
        assert queue_then_kill(broker, 100) == []


def test_a_message_beyond_the_bound_is_not_swallowed(site: Broker) -> None:
    """An oversized message ends the connection, which is seen; message_size_limit would have acknowledged it."""
    with peer(site, "cold2-probes") as node:
        gone = threading.Event()
        node.client.on_disconnect = lambda *_: gone.set()
        mid = node.client.publish("tele/cold2-probes/SENSOR", b"x" * 70_000, qos=1).mid
        assert gone.wait(5.0)
        assert mid not in node.acknowledged
