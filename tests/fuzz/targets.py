"""Every parser that meets foreign bytes, as a function of bytes: returns when all is well, raises when it is not."""

from __future__ import annotations

import atexit
import json
import math
import os
import shutil
import tempfile
import tomllib
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from edge_gateway.config.load import load as load_config
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.load import available
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.profiles.load import read as read_profile
from edge_gateway.profiles.model import ModbusProfile, PayloadProfile
from edge_gateway.profiles.payload import PayloadReader, Unparsed
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.provision import load as sheets
from edge_gateway.provision.agree import faults
from edge_gateway.wire import hub
from tests.fuzz.lines import Harness

Target = Callable[[bytes], None]
QUALITIES = ("good", "bad:", "uncertain:")
#: Where files are written for the parsers that read files; whoever sets it removes it.
FOLDER_VARIABLE = "EDGE_GATEWAY_FUZZ_FOLDER"
#: A text longer than this finds nothing that a shorter one does not, and takes long.
MOST_TEXT = 4096
#: The probe that points of profiles with several probes take: Tasmota's documentation has it in its samples.
SELECT = "00000566CC39"


# --- Modbus -----------------------------------------------------------------------------------------------------------

HARNESSES: dict[str, Harness] = {}


def _modbus(kind: str) -> Target:
    def run(data: bytes) -> None:
        if kind not in HARNESSES:
            HARNESSES[kind] = Harness(kind)
        HARNESSES[kind].run(data)

    return run


# --- MQTT payloads ----------------------------------------------------------------------------------------------------


@cache
def _readers() -> list[PayloadReader]:
    found = []
    for name in available():
        profile = load_profile(name).profile
        if isinstance(profile, PayloadProfile):
            points = tuple(
                PointSpec(id=f"p{n}", channel=id_, select=SELECT if "{select}" in channel.path else "")
                for n, (id_, channel) in enumerate(profile.channels.items())
            )
            found.append(PayloadReader(DeviceSpec(id="d", profile=profile, points=points, topic="t")))
    return found


def mqtt_payload(data: bytes) -> None:
    """Any payload through any message profile: a number, or a quality that says why there is none."""
    if not data:
        return
    readers = _readers()
    reader = readers[data[0] % len(readers)]
    try:
        columns = reader.read(data[1:])
    except Unparsed:
        return
    quality = columns.quality or ["good"] * len(columns.values)
    assert len(quality) == len(columns.values)
    for index, (value, mark) in enumerate(zip(columns.values, quality, strict=True)):
        if index in columns.untold:
            continue
        assert mark.startswith(QUALITIES), mark
        assert value is None or (isinstance(value, int | float) and math.isfinite(value)), value
        assert (value is not None) or mark != "good", (value, mark)
    assert columns.time_us is None or isinstance(columns.time_us, int)
    for _group, part in reader.parts(columns):
        assert len(part.values) >= 1


# --- files ------------------------------------------------------------------------------------------------------------


@cache
def _place(name: str) -> Path:
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named) / name
    folder = Path(tempfile.mkdtemp(prefix="edge-gateway-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / name


def _told(found: list[ConfigError]) -> None:
    assert found, "refused without a reason"
    for fault in found:
        assert fault.why, fault
        assert fault.line >= 0


def profile(data: bytes) -> None:
    """Any file as a device profile: faults with reasons, or a profile that can be planned."""
    file = _place("profile.toml")
    file.write_bytes(data[:MOST_TEXT])
    loaded, found = read_profile(file)
    if loaded is None:
        _told(found)
        return
    found_profile = loaded.profile
    points = tuple(PointSpec(id=f"p{n}", channel=c) for n, c in enumerate(found_profile.channels))
    spec = DeviceSpec(id="d", profile=found_profile, points=points, interval_us=1_000_000, unit=1, topic="t")
    try:
        if isinstance(found_profile, ModbusProfile):
            plan(spec)
        else:
            PayloadReader(spec).read(b"{}")
    except (ConfigError, Unparsed):
        return


def sheet(data: bytes) -> None:
    """Any file as a parameter sheet."""
    loaded, found = sheets.parse(data[:MOST_TEXT].decode("utf-8", "replace"), "sheet.toml")
    if loaded is None:
        _told(found)
        return
    for path, why in faults(loaded.sheet, None):
        assert path
        assert why


def configuration(data: bytes) -> None:
    """Any file as gateway.toml: ConfigError with reasons, and nothing else."""
    file = _place("gateway.toml")
    file.write_bytes(data[:MOST_TEXT])
    try:
        load_config(file, file.parent / "state", running=False)
    except ConfigError as error:
        _told(list(getattr(error, "faults", [error])))


# --- the hub ----------------------------------------------------------------------------------------------------------


def _named(error: hub.WireError) -> None:
    assert error.code in hub.PROBLEMS


def hub_message(data: bytes) -> None:
    """Any bytes as a message to the hub, packed rightly (first byte odd) or as they are; what is understood says the same again."""
    if not data:
        return
    packed = data[1:]
    if data[0] & 1:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        packed = packer.compress(data[1:]) + packer.flush()
    try:
        message = hub.decode_message(packed)
    except hub.WireError as error:
        _named(error)
        return
    head = {key: value for key, value in message.head.items() if key != "v"}
    again = hub.decode_message(hub.encode_message(head, message.body))
    assert (again.kind, again.session, again.n, again.body) == (message.kind, message.session, message.n, message.body)
    if message.kind in ("entries", "live"):
        try:
            lines = message.entries()
        except hub.WireError as error:
            _named(error)
            return
        assert all(lines)
        assert hub.lines(lines) == message.body


def hub_answer(data: bytes) -> None:
    """Any bytes as the hub's answer, and as a sealed envelope of MQTT."""
    try:
        answer = hub.decode_answer(data)
    except hub.WireError as error:
        _named(error)
    else:
        json.dumps(answer)
    for direction in ("up", "down"):
        try:
            sealed = hub.unseal("token", direction, "gw", data)  # type: ignore[arg-type]
        except hub.WireError as error:
            _named(error)
        else:
            raise AssertionError(f"a forged seal was taken: {sealed}")


def toml(data: bytes) -> None:
    """What tomllib takes or refuses, our sentences about it take too."""
    from edge_gateway import toml_errors, toml_lines

    text = data[:MOST_TEXT].decode("utf-8", "replace")
    try:
        tomllib.loads(text)
        sound = True
    except (tomllib.TOMLDecodeError, RecursionError):
        sound = False
    try:
        toml_errors.parse(text, "x.toml")
        assert sound
    except ConfigError as error:
        assert not sound
        _told([error])
    if sound:
        toml_lines.lines(text)


TARGETS: dict[str, Target] = {
    "modbus-tcp": _modbus("tcp"),
    "modbus-rtu": _modbus("rtu"),
    "modbus-ascii": _modbus("ascii"),
    "mqtt-payload": mqtt_payload,
    "profile": profile,
    "sheet": sheet,
    "configuration": configuration,
    "hub-message": hub_message,
    "hub-answer": hub_answer,
    "toml": toml,
}
