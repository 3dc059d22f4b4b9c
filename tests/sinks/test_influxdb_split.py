"""The plan for refused batches against two imagined servers: 1.x (keeps the good lines) and 2.x (all or nothing)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.sinks.influxdb_split import OK, Answer, Findings, Splitter, Try


@dataclass
class Server:
    """Refuses requests with a bad line in them; ``all_or_nothing`` is 2.x, ``counts`` says dropped=<n> as 1.x does."""

    texts: list[str]
    bad: set[int]
    all_or_nothing: bool = False
    counts: bool = False
    most: int = 10_000
    stored: set[int] = field(default_factory=set)
    requests: list[Try] = field(default_factory=list)
    refused_alone: set[int] = field(default_factory=set)

    def answer(self, what: Try) -> Answer:
        self.requests.append(what)
        if what.canary:
            return OK
        lines = set(what.lines)
        assert lines, "an empty request"
        if len(lines) > self.most:
            return Answer(False, "413", too_large=True)
        bad = lines & self.bad
        if not self.all_or_nothing or not bad:
            self.stored |= lines - bad
        if not bad:
            return OK
        if bad == lines and (len(lines) == 1 or self.counts):
            self.refused_alone |= lines
        return Answer(False, "bad", all_dropped=self.counts and bad == lines)


def texts(lines: int, series: int) -> list[str]:
    return [f"reading,point=p{number % series} value=1 {number}" for number in range(lines)]


def work(server: Server, *, most: int = 1000, suspects: tuple[str, ...] = ()) -> Findings:
    plan = Splitter(server.texts, most, suspects).run()
    what = next(plan)
    while True:
        try:
            what = plan.send(server.answer(what))
        except StopIteration as end:
            found: Findings = end.value
            return found


def check(server: Server, found: Findings) -> None:
    refused = {index for index, _ in found.refused}
    assert len(refused) == len(found.refused)
    assert refused == server.bad
    assert refused <= server.refused_alone, "refused without having been refused itself"
    assert server.stored == set(range(len(server.texts))) - server.bad


def test_nothing_bad_is_one_request() -> None:
    server = Server(texts(1000, 50), set())
    check(server, work(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_one_bad_line_costs_at_most_21_requests(all_or_nothing: bool) -> None:
    for lines in (1, 2, 3, 7, 999, 1000):
        for bad in {0, 1, lines // 2, lines - 1, *random.Random(lines).sample(range(lines), min(lines, 40))}:
            server = Server(texts(lines, 50), {bad} & set(range(lines)), all_or_nothing)
            check(server, work(server))
            assert len(server.requests) <= 21
            assert not any(what.paced for what in server.requests)


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_a_bad_series_is_tried_alone_after_everything_else_is_done(all_or_nothing: bool) -> None:
    server = Server(texts(1000, 50), {index for index in range(1000) if index % 50 == 7}, all_or_nothing)
    found = work(server)
    check(server, found)
    assert found.bad_series == {"reading,point=p7"}
    line_by_line = [set(what.lines) < server.bad and bool(what.lines) for what in server.requests]
    first = line_by_line.index(True)
    assert all(line_by_line[first:]), "a good series waited behind a bad one"
    assert all(what.paced for what in server.requests[first:])
    assert len(server.requests) <= 15 + 2 * 20 + 12


def test_the_servers_count_saves_requests() -> None:
    server = Server(texts(1000, 50), {index for index in range(1000) if index % 50 == 7}, counts=True)
    check(server, work(server))
    assert len(server.requests) <= 20


@given(
    lines=st.integers(1, 120),
    series=st.integers(1, 30),
    seed=st.integers(0, 999),
    share=st.floats(0, 1),
    all_or_nothing=st.booleans(),
    counts=st.booleans(),
    most=st.integers(1, 150),
)
def test_any_mixture_is_sorted_out_in_bounded_requests(
    lines: int, series: int, seed: int, share: float, all_or_nothing: bool, counts: bool, most: int
) -> None:
    choose = random.Random(seed)
    bad = {index for index in range(lines) if choose.random() < share}
    server = Server(texts(lines, series), bad, all_or_nothing, counts, most=choose.randint(1, 150))
    check(server, work(server, most=most, suspects=("reading,point=p0",) if seed % 2 else ()))
    assert len(server.requests) <= 4 * lines + 2


def test_known_bad_series_cost_the_rest_nothing() -> None:
    server = Server(texts(100, 10), {3, 13, 23}, all_or_nothing=True)
    server.bad = {index for index in range(100) if index % 10 == 3}
    found = work(server, suspects=("reading,point=p3",))
    check(server, found)
    assert len(server.requests[0].lines) == 90
    assert server.requests[1].paced


def test_a_healed_series_is_told() -> None:
    server = Server(texts(100, 10), set())
    found = work(server, suspects=("reading,point=p3",))
    assert found.good_series == {"reading,point=p3"}
    assert not found.bad_series


@pytest.mark.parametrize("lines", [1, 1000])
def test_a_server_that_refuses_everything_is_believed_nothing(lines: int) -> None:
    plan = Splitter(texts(lines, 10), 1000).run()
    next(plan)
    requests, found = 0, None
    no = Answer(False, "400 plain HTTP request sent to HTTPS port")
    while found is None:
        requests += 1
        try:
            plan.send(no)
        except StopIteration as end:
            found = end.value
    assert found.refuses_everything == no.reason
    assert found.refused == []
    assert requests <= 40


def test_too_large_is_halved_and_a_single_line_too_large_is_refused() -> None:
    server = Server(texts(1000, 5), set(), most=130)
    check(server, work(server))
    assert len(server.requests) == 15
    single = Server(texts(1, 1), {0}, most=0)
    single.refused_alone = {0}
    assert [index for index, _ in work(single).refused] == [0]


@pytest.mark.parametrize("fault", ["guess", "drop_all"])
def test_planted_faults_are_caught(fault: str) -> None:
    """A planner that drops what was refused together, or guesses without asking, must fail the check above."""
    server = Server(texts(64, 8), {5}, all_or_nothing=True)
    plans: dict[str, Callable[[], Findings]] = {
        "drop_all": lambda: Findings(
            refused=[(index, "bad") for index in range(64)] if server.answer(Try(range(64))) != OK else []
        ),
        "guess": lambda: Findings(refused=[(5, "bad")] if server.answer(Try(range(64))) != OK else []),
    }
    with pytest.raises(AssertionError):
        check(server, plans[fault]())
