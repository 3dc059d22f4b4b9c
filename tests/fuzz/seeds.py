"""What the fuzzers begin with: real profiles, sheets, configurations, payloads and messages of the repository."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_gateway.wire import hub
from tests.fuzz.targets import MOST_TEXT
from tests.servers.process import REPOSITORY

_LONG = "cd" * 32


def seeds(target: str) -> Iterator[bytes]:
    """Inputs for a target."""
    golden = REPOSITORY / "tests" / "config" / "golden"
    made = {
        "mqtt-payload": _payloads,
        "profile": lambda: _files(REPOSITORY / "drivers", "*/*.toml", without=".cases."),
        "sheet": lambda: _files(REPOSITORY / "firmware_configs" / "modbus", "*.toml"),
        "configuration": lambda: _files(golden, "*.toml"),
        "toml": lambda: _files(golden, "*.toml"),
        "hub-message": _messages,
        "hub-answer": _answers,
    }
    return made.get(target, _frames)()


def _frames() -> Iterator[bytes]:
    for mode in range(8):
        for function in range(4):
            yield bytes((0, function, 2, 17, 1, 7, mode, 1, 2, 3, 4, 5, 6, 7, 8, 9))
            yield bytes((3, function, 2, 17, 1, 7, mode, 3)) + bytes(range(40))


def _messages() -> Iterator[bytes]:
    for vector in _vectors():
        if "gzip" in vector:
            packed = bytes.fromhex(vector["gzip"])
            yield b"\x00" + packed[:2000]
            if "header" in vector:
                yield b"\x01" + hub.inflate(packed)[:2000]


def _answers() -> Iterator[bytes]:
    yield hub.seal("token", "up", "gw", _LONG, 1, b"rest")[:-1]
    for vector in _vectors():
        yield json.dumps(vector.get("answer", vector))[:600].encode()


def _files(folder: Path, pattern: str, without: str = "\0") -> Iterator[bytes]:
    for file in sorted(folder.glob(pattern)):
        if without not in file.name and file.stat().st_size <= MOST_TEXT:
            yield file.read_bytes()


def _payloads() -> Iterator[bytes]:
    """Of every message profile's cases, for one reader after the other: the first byte chooses it."""
    number = 0
    for file in sorted((REPOSITORY / "drivers").glob("*/*.cases.toml")):
        for case in tomllib.loads(file.read_text("utf-8"))["cases"]:
            if "payload" in case:
                number += 1
                yield bytes((number % 256,)) + str(case["payload"]).encode()[:500]


def _vectors() -> Iterator[dict[str, Any]]:
    for line in (REPOSITORY / "tests" / "vectors" / "hub-protocol.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)
