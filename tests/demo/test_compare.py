"""The comparison finds what it is for: a reading that was dropped, doubled, altered, moved in time or invented."""

from __future__ import annotations

import http.server
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from edge_gateway.demo.compare import Difference, Given, Seen, compare, from_file, from_hub, judge, sound

SLACK_US = 2_000_000
STEP_US = 1_000_000


def plant(count: int, *, value: float | None = None, seed: int = 1) -> list[Given]:
    """Readings one second apart; all equal if ``value`` is given."""
    noise = random.Random(seed)
    return [Given(n * STEP_US, round(noise.uniform(-20, -19), 1) if value is None else value) for n in range(count)]


def held(given: list[Given], delay_us: int = 20_000) -> list[Seen]:
    return [Seen(one.t_us + delay_us, one.value, "e", seq) for seq, one in enumerate(given)]


def found(given: list[Given], seen: list[Seen]) -> tuple[int, int, int]:
    difference = compare({"p": given}, {"p": seen}, slack_us=SLACK_US)
    assert (difference.lost + difference.extra == 0) == (difference.examples == [])
    return difference.missing, difference.altered, difference.extra


def test_equal_sequences_differ_in_nothing() -> None:
    given = plant(500)
    assert found(given, held(given)) == (0, 0, 0)


@pytest.mark.parametrize("at", [0, 1, 250, 498, 499])
@pytest.mark.parametrize("value", [None, 0.0])
def test_a_dropped_reading_is_missing(at: int, value: float | None) -> None:
    given = plant(500, value=value)
    seen = held(given)
    del seen[at]
    assert found(given, seen) == (1, 0, 0)


@pytest.mark.parametrize("at", [0, 250, 499])
@pytest.mark.parametrize("value", [None, 0.0])
def test_a_doubled_reading_is_extra(at: int, value: float | None) -> None:
    given = plant(500, value=value)
    seen = held(given)
    seen.insert(at, seen[at])
    assert found(given, seen) == (0, 0, 1)


@pytest.mark.parametrize("at", [0, 250, 499])
def test_an_altered_reading_is_different(at: int) -> None:
    given = plant(500)
    seen = held(given)
    seen[at] = Seen(seen[at].t_us, seen[at].value + 0.1)
    assert found(given, seen) == (0, 1, 0)


def test_an_invented_reading_is_extra() -> None:
    given = plant(500)
    seen = held(given)
    seen.insert(100, Seen(seen[100].t_us - 1, seen[99].value))
    assert found(given, seen) == (0, 0, 1)


def test_a_repeated_reading_in_place_of_a_lost_one_is_found_though_the_number_is_right() -> None:
    given = plant(500, value=1.0)
    seen = held(given)
    seen[300] = seen[299]
    assert found(given, seen) == (1, 0, 1)


def test_a_reading_at_a_wrong_time_is_different() -> None:
    given = plant(20)
    seen = held(given)
    seen[-1] = Seen(seen[-1].t_us + 2 * SLACK_US, seen[-1].value)
    missing, altered, _extra = found(given, seen)
    assert missing + altered > 0


def test_two_exchanged_readings_are_found() -> None:
    given = plant(50)
    given[20], given[21] = Given(given[20].t_us, -1.0), Given(given[21].t_us, -2.0)
    seen = held(given)
    seen[20], seen[21] = seen[21], seen[20]
    assert sum(found(given, seen)) > 0


def test_a_point_that_nobody_holds_is_missing_altogether() -> None:
    assert compare({"p": plant(7)}, {}, slack_us=SLACK_US).missing == 7


def test_a_point_that_the_plant_does_not_have_is_extra() -> None:
    assert compare({}, {"q": held(plant(3))}, slack_us=SLACK_US).extra == 3


def test_long_sequences_with_many_faults_are_still_faults() -> None:
    given = plant(5000)
    seen = held(given)[2500:]
    difference = compare({"p": given}, {"p": seen}, slack_us=SLACK_US)
    assert difference.missing >= 2500


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("at", [0, 5, 9])
def test_a_reading_that_does_not_count_may_be_there_or_not(there: bool, at: int) -> None:
    given = plant(10, value=1.0)
    given[at] = Given(given[at].t_us, 1.0, counts=False)
    seen = held(given)
    if not there:
        del seen[at]
    assert found(given, seen) == (0, 0, 0)


@cases(
    st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=40),
    st.integers(0, 39),
    st.sampled_from(["drop", "double", "alter"]),
)
def test_no_single_fault_escapes(values: list[float], at: int, fault: str) -> None:
    given = [Given(n * STEP_US, value) for n, value in enumerate(values)]
    seen = held(given)
    at %= len(seen)
    if fault == "drop":
        del seen[at]
        assert found(given, seen) == (1, 0, 0)
    elif fault == "double":
        seen.insert(at, seen[at])
        assert found(given, seen) == (0, 0, 1)
    else:
        seen[at] = Seen(seen[at].t_us, 9.0)
        assert found(given, seen) == (0, 1, 0)


def test_an_empty_truth_log_is_not_sound() -> None:
    assert not sound({"readings": 0, "lost": 0, "extra": 0})
    assert sound({"readings": 1, "lost": 0, "extra": 0})
    assert not sound({"readings": 1, "lost": 1, "extra": 0})
    assert not sound({"readings": 1, "lost": 0, "extra": 1})


def line(value: str, seq: int, t_us: int) -> str:
    return f'reading,point=p,site=s {value}quality="good",epoch="e",seq={seq}i {t_us}\n'


def test_the_receivers_file_is_read_as_a_database_would(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(
        line("value=1.5,", 1, 10)
        + line("value=2.0,", 2, 20)
        + line("value=1.5,", 1, 10)  # sent again: the same point
        + line("", 3, 30)  # bad: no value
        + 'event,kind=x,site=s detail="a b" 5\n'
    )
    readings, overwritten = from_file(file)
    assert readings == {"p": [Seen(10, 1.5, "e", 1), Seen(20, 2.0, "e", 2)]}
    assert overwritten == 0
    with file.open("a") as more:
        more.write(line("value=9.0,", 1, 10))
    assert from_file(file)[1] == 1


@pytest.fixture
def hub() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A hub of two pages and one gateway; its readings can be spoiled."""
    readings: list[dict[str, object]] = [
        {"point": "p", "epoch": "e", "seq": n, "time_us": n * STEP_US + 5, "value": float(n), "quality": "good"}
        for n in range(6)
    ]

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body: object
            if "/readings?from=e&first=3" in self.path:
                body = {"readings": readings[3:], "next": None}
            elif "/readings" in self.path:
                body = {"readings": readings[:3], "next": {"from": "e", "first": 3}}
            elif "/entries" in self.path:
                body = {"kind": "violation", "rule": "r", "point": "p", "step": "violated"}
            else:
                body = {"gateways": [{"gateway": "g", "epochs": [{"epoch": "e", "size": 1}]}]}
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", readings
    server.shutdown()
    server.server_close()


def test_the_whole_comparison_finds_a_fault_at_either_holder(
    hub: tuple[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    url, readings = hub
    assert [seen.value for seen in from_hub(url, "g")["p"]] == [0, 1, 2, 3, 4, 5]
    truth, lines = tmp_path / "truth", tmp_path / "lines"
    truth.write_text(
        "".join(
            json.dumps({"kind": "reply", "t_us": n * STEP_US, "values": {"p": n}, "counts": True}) + "\n"
            for n in range(6)
        )
        + '{"kind": "event", "what": "door-opened"}\n{"kind": "rep'  # the last line was cut by a kill
    )
    lines.write_text("".join(line(f"value={n}.0,", n, n * STEP_US + 5) for n in range(6)))
    options = {"truth": truth, "lines": lines, "hub_url": url, "gateway": "g", "slack_us": SLACK_US}
    result = judge(options)
    assert sound(result), result
    assert (result["readings"], result["hub_readings"], result["influx_readings"], result["violations"]) == (6, 6, 6, 1)
    assert result["steps"] == [("r", "p", "violated")]
    readings[4]["value"] = 4.5
    lines.write_text("".join(line(f"value={n}.0,", n, n * STEP_US + 5) for n in range(5)))
    result = judge(options)
    assert not sound(result)
    assert (result["hub"]["altered"], result["influx"]["missing"], result["lost"]) == (1, 1, 2)


def test_a_difference_keeps_a_few_examples_only() -> None:
    difference = Difference()
    for n in range(100):
        difference.note(str(n))
    assert len(difference.examples) == 5
