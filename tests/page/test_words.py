"""Numbers, spans, times, limits: as people read them, in both languages, in the site's zone."""

from __future__ import annotations

import re

import pytest

from edge_gateway.page.words import MINUS
from edge_gateway.reading import QUALITIES
from edge_gateway.web import pages
from tests.page.site import MIN, NOW_US, S, rule, words

H, D = 60 * MIN, 24 * 60 * MIN
#: Every reason of ``reading.GapOpened``.
GAPS = ("backed-off", "unreachable", "busy", "silent", "journal-full", "stopped", "killed", "power-off", "reconfigured")


@pytest.mark.parametrize("part", ["gateway", "lots"])
def test_both_languages_have_the_same_words_with_the_same_places(part: str) -> None:
    zh, en = pages.catalog("zh", part), pages.catalog("en", part)
    assert list(zh) == list(en)
    for key in zh:
        assert zh[key].strip()
        assert en[key].strip()
        assert set(re.findall(r"\{(\w+)\}", zh[key])) == set(re.findall(r"\{(\w+)\}", en[key])), key


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_quality_and_every_gap_has_words(language: str) -> None:
    said = words(language)
    for quality in (*QUALITIES, "bad:no-data"):
        assert f"q.{quality}" in said.t
    assert "bad:new-one" in said.quality("bad:new-one"), "a reason of a later release is shown as it is"
    for gap in GAPS:
        assert f"gap.{gap}" in said.t


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (-17.8, 1, "−17.8"),
        (-18.0, 1, "−18.0"),
        (0.5, 2, "0.50"),
        (4, 0, "4"),
        (None, 1, "none"),
        (-0.04, 1, "−0.0"),
        (7, 2, "7.00"),
    ],
)
def test_numbers(value: float | None, decimals: int, shown: str) -> None:
    assert words("en").number(value, decimals) == shown


def test_a_quantity_is_never_broken_from_its_unit_and_the_sign_is_a_minus() -> None:
    shown = words().quantity(-17.8, 1, "°C")
    assert shown == f"{MINUS}17.8\N{NO-BREAK SPACE}°C"
    assert words().quantity(3, 0, "") == "3"


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ({"high": "-18"}, "≤ −18 °C"),
        ({"low": "82"}, "≥ 82 °C"),
        ({"low": "-2.5", "high": "4"}, "−2.5 – 4 °C"),
        ({}, ""),
    ],
)
def test_limits_are_their_own_decimal_text(bounds: dict[str, str], shown: str) -> None:
    assert words().limit(bounds, "°C").replace("\N{NO-BREAK SPACE}", " ") == shown


@pytest.mark.parametrize(
    ("past_us", "age", "span"),
    [
        (0, "just now", "0 s"), (-5 * S, "just now", "0 s"), (S, "1 s ago", "1 s"), (119 * S, "119 s ago", "119 s"),
        (2 * MIN, "2 min ago", "2 min"), (119 * MIN, "119 min ago", "119 min"), (2 * H, "2 h 0 min ago", "2 h 0 min"),
        (47 * H + 59 * MIN, "47 h 59 min ago", "47 h 59 min"), (2 * D + 3 * H, "2 d 3 h ago", "2 d 3 h"),
    ],
)  # fmt: skip
def test_spans_have_two_parts_at_the_most(past_us: int, age: str, span: str) -> None:
    said = words("en")
    assert said.span("age", past_us) == age
    assert said.span("for", past_us) == span


def test_times_stand_in_the_sites_zone_and_say_so() -> None:
    assert words().when(NOW_US) == "14:03"
    assert words().when(NOW_US - 15 * H) == "2026-03-04 23:03"
    assert words().zone_name() == "北京时间 (UTC+8)"
    assert words("en", "Asia/Urumqi").zone_name() == "Xinjiang time (UTC+6)"
    assert words("en", "Asia/Urumqi").when(NOW_US) == "12:03"
    assert words("en", "Asia/Kolkata").zone_name() == "Asia/Kolkata (UTC+5:30)"
    assert words("en", "America/New_York").zone_name() == "America/New_York (UTC−5)"


def test_a_tick_has_what_a_browser_needs_to_say_it_again() -> None:
    tick = words("en").tick("tick.violation", NOW_US - 6 * MIN, 900.0)
    assert tick["text"] == "since 13:57, for 6 min, a violation at 15 min"
    assert (tick["us"], tick["time"], tick["total"]) == (NOW_US - 6 * MIN, "13:57", "15 min")
    assert words("en", mute=True).tick("tick.violation", NOW_US - 6 * MIN, 900.0) == tick | {"text": ""}


def test_what_is_not_verified_is_said() -> None:
    assert "未核实" in words("zh").unverified("no")
    assert "secondary source" in words("en").unverified("secondary")
    assert words("en").unverified(None) == words("en").unverified("no"), "unknown counts as unverified"
    assert words("en").unverified("primary") == ""
    assert words("zh").basis(rule().as_config(), "") == "GB/T 24616-2019（2019），条款未核实"
    assert words("en").basis(rule(clause="4.2").as_config(), "") == "GB/T 24616-2019 (2019), clause 4.2"
    assert words("en").basis({}, "as the entry has it") == "as the entry has it"


@pytest.mark.parametrize(("size", "shown"), [(900, "1 kB"), (1.25e6, "1.2 MB"), (2e9, "2.0 GB"), (3.4e12, "3.4 TB")])
def test_sizes(size: float, shown: str) -> None:
    assert words().size(size).replace("\N{NO-BREAK SPACE}", " ") == shown
