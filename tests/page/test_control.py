"""The control socket: who asks is who the kernel says, and it stands in the record."""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from edge_gateway.cli.client import Client
from tests.cli.site import THAWED, Gateway, Plant
from tests.page import site
from tests.servers.process import free_port


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as running:
        running.set(1, THAWED)
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, plant: Plant) -> Iterator[Gateway]:
    with site.gateway(tmp_path_factory.mktemp("gateway"), plant.port, free_port(), more="") as running:
        running.wait(lambda: bool(broken(running)), "a violation")
        yield running


def broken(gateway: Gateway) -> list[dict[str, Any]]:
    return [each for each in gateway.status().get("violations", []) if each["level"] == "violation"]


def ask(gateway: Gateway, head: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(gateway.state / "control.sock"))
        link.sendall(
            f"{head} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = b""
        while part := link.recv(65536):
            answer += part
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), orjson.loads(rest.partition(b"\r\n\r\n")[2])


def test_it_is_for_its_group_only(gateway: Gateway) -> None:
    mode = stat.S_IMODE((gateway.state / "control.sock").stat().st_mode)
    assert mode == 0o660


def test_the_peers_user_is_recorded_whatever_it_claims(gateway: Gateway) -> None:
    violation = broken(gateway)[0]["violation"]
    claim = json.dumps({"reason": "门封破损，叫修", "by": "somebody-else"}).encode()
    status, answer = ask(gateway, f"POST /v1/violations/{violation}/ack", claim)
    assert status == 200
    user = pwd.getpwuid(os.getuid()).pw_name
    assert (answer["by"], answer["reason"], answer["handling"]) == (user, "门封破损，叫修", "acknowledged")
    shown = broken(gateway)[0]
    assert (shown["handling"], shown["by"]) == ("acknowledged", user)
    gateway.stop()
    gateway.start()
    shown = next(each for each in broken(gateway) if each["violation"] == violation)
    assert (shown["handling"], shown["by"]) == ("acknowledged", user), "it stands in the record"


def test_what_is_not_allowed_is_refused_with_a_reason(gateway: Gateway) -> None:
    violation = broken(gateway)[0]["violation"]
    status, answer = ask(gateway, f"POST /v1/violations/{violation}/close", b'{"reason": "x"}')
    assert status == 409
    assert answer["why"]
    assert ask(gateway, "POST /v1/violations/none-1/ack", b'{"reason": "x"}')[0] == 409


def test_bad_requests_harm_nothing(gateway: Gateway) -> None:
    for body in (b"[1]", b"{", b"\xff\xfe", b'"x"', b"x" * 70_000):
        status, answer = ask(gateway, "POST /v1/read", body)
        assert (status, answer["error"]) == (400, "BadRequest"), body[:20]
    assert ask(gateway, "GET /v1/position")[0] == 200


@pytest.mark.parametrize("ids", [b'"12"', b"5", b"[null]", b"[1.5]", b"[true]", b'["1"]', b"{}"])
def test_only_whole_numbers_name_what_is_dropped(gateway: Gateway, ids: bytes) -> None:
    """The text "12" is not entries 1 and 2."""
    status, answer = ask(gateway, "POST /v1/quarantine/drop", b'{"ids": ' + ids + b"}")
    assert (status, answer["error"]) == (400, "BadRequest")


def test_a_number_beyond_all_drops_nothing(gateway: Gateway) -> None:
    assert ask(gateway, "POST /v1/quarantine/drop", b'{"ids": [9223372036854775807], "reason": "x"}') == (200, {"dropped": 0})


def test_nothing_is_dropped_without_a_reason_nor_thousands_at_once(gateway: Gateway) -> None:
    status, answer = ask(gateway, "POST /v1/quarantine/drop", b'{"ids": [1], "reason": " "}')
    assert (status, answer["why"]) == (409, "a reason is missing")
    many = orjson.dumps({"ids": list(range(101)), "reason": "x"})
    assert ask(gateway, "POST /v1/quarantine/drop", many)[0] == 409


@pytest.mark.parametrize("timeout", [b"86400", b"-1", b'"inf"', b'"nan"', b"[]", b"1e300"])
def test_nobody_borrows_the_line_for_a_day(gateway: Gateway, timeout: bytes) -> None:
    wanted = b'{"bus": "plc", "unit": 99, "function": 3, "register": 0, "timeout_s": ' + timeout + b"}"
    status, answer = ask(gateway, "POST /v1/read", wanted)
    assert (status, answer["error"]) == (409, "GatewayError"), answer


def test_a_photo_comes_as_its_bytes_and_goes_out_as_it_came(gateway: Gateway) -> None:
    picture = b"\xff\xd8\xff\xe1" + bytes(range(256)) * 2_000
    status, photo = ask(gateway, "POST /v1/photos", picture)
    assert (status, photo["type"], photo["bytes"]) == (200, "image/jpeg", len(picture))
    assert Client(gateway.state / "control.sock").get_file(f"/v1/photos/{photo['sha256']}") == picture
    status, answer = ask(gateway, "POST /v1/photos", b"%PDF-1.7 no picture")
    assert (status, answer["error"]) == (409, "PhotoRefused")
    status, answer = ask(gateway, "POST /v1/photos", picture[:4] + bytes(8 << 20))
    assert (status, answer["error"]) == (409, "PhotoRefused")
    assert ask(gateway, "GET /v1/photos/" + "0" * 64)[0] == 404
    assert ask(gateway, "GET /v1/photos/..lock")[0] == 404
