"""What hubs are owed, as a pure function against a model that decides entry by entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.journal.base import Position
from edge_gateway.journal.keeping import EVER, UNKNOWN, Due, Keeping, cosigned, limits, witnessed
from tests.journal.witness import cosigned as note_of
from tests.journal.witness import hub_key, signed

A, B, C = "a" * 16, "b" * 16, "c" * 16
ORDER = {A: 1, B: 2, C: 3}
SIZE = 4

_witnessed = st.fixed_dictionaries({}, optional=dict.fromkeys(ORDER, st.integers(0, SIZE)))
_due = st.tuples(
    st.builds(Due, hub=st.just("x"), until=st.none() | st.builds(Position, st.sampled_from([A, B, C]), st.integers(0, SIZE))),
    _witnessed,
)


@given(st.lists(_due, max_size=3), st.sets(st.sampled_from([A, B, C])))
def test_an_entry_goes_only_if_every_hub_that_is_owed_it_witnessed_it(
    owed: list[tuple[Due, dict[str, int]]], released: set[str]
) -> None:
    """The model: one entry, one due. A hub is owed what lies before its end; a person may have let its epoch go."""
    found = limits(ORDER, owed, released)
    for epoch, number in ORDER.items():
        for seq in range(SIZE):
            may = epoch in released or all(
                seq < seen.get(epoch, 0)
                or (due.until is not None and (number, seq) >= (ORDER[due.until.epoch], due.until.seq))
                for due, seen in owed
            )
            below = seq < found[epoch]
            assert not below or may, "never freed while owed"
            # The limit is a prefix: an entry behind one that stays, stays.
            assert below == (may and all(_may(ORDER, owed, released, epoch, before) for before in range(seq)))


def _may(order: dict[str, int], owed: list[tuple[Due, dict[str, int]]], released: set[str], epoch: str, seq: int) -> bool:
    return epoch in released or all(
        seq < seen.get(epoch, 0)
        or (due.until is not None and (order[epoch], seq) >= (order[due.until.epoch], due.until.seq))
        for due, seen in owed
    )


def test_nobody_owed_nothing_held() -> None:
    assert limits(ORDER, [], ()) == dict.fromkeys(ORDER, EVER)


def test_an_end_that_is_not_known_any_more_holds_everything() -> None:
    lost = Due(hub="x", until=Position("f" * 16, 0))
    assert limits(ORDER, [(lost, {})], ()) == dict.fromkeys(ORDER, 0)


@given(
    st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["x", "y", None]),
    st.lists(st.sampled_from(["x", "y", "z"]), unique=True),
)  # fmt: skip
def test_settling_shortens_nothing_and_forgets_nobody(keep: int, asked: int, hub: str | None, before: list[str]) -> None:
    old = Keeping(keep_us=keep, dues=tuple(Due(hub=name) for name in before), released=frozenset({A}))
    new = old.settled(asked, hub, "", Position(B, 3))
    assert new.keep_us == max(keep, asked)
    assert {due.hub for due in new.dues} == set(before) | ({hub} if hub else set())
    assert all((due.until is None) == (due.hub == hub) for due in new.dues)
    assert new.settled(asked, hub, "", Position(C, 9)) == new, "an end once set stays where it is"
    assert Keeping.read(new.rows()) == new


def test_a_hub_that_comes_back_is_owed_everything_again() -> None:
    gone = Keeping(dues=(Due(hub="x", vkey="n+id+a", until=Position(A, 1)), Due(hub=UNKNOWN)))
    assert gone.settled(0, "x", "n+id+a", Position(B, 0)).dues == (Due(hub="x", vkey="n+id+a"),)
    assert gone.settled(0, "y", "n+id+a", Position(B, 0)).dues == (Due(hub="y", vkey="n+id+a"),), "known by its key, whatever its name"


def test_another_key_under_the_same_name_is_another_hub_and_back_again() -> None:
    at, later = Position(A, 5), Position(A, 9)
    first = Keeping().settled(0, "x", "n+id+a", at)
    second = first.settled(0, "x", "n+id2+b", at)
    assert second.dues == (Due(hub="x n+id", vkey="n+id+a", until=at), Due(hub="x", vkey="n+id2+b"))
    assert second.settled(0, "x", "n+id2+b", later) == second
    assert Keeping.read(second.rows()) == second
    back = second.settled(0, "x", "n+id+a", later)
    assert back.dues == (Due(hub="x n+id2", vkey="n+id2+b", until=later), Due(hub="x", vkey="n+id+a"))
    without = first.settled(0, "x", "", at)
    assert without.dues == (Due(hub="x n+id", vkey="n+id+a", until=at), Due(hub="x")), "a key taken out is a hub taken out"
    assert without.settled(0, "x", "n+id+a", later).dues == (Due(hub="x", vkey="n+id+a"),)
    assert without.without("x n+id").dues == (Due(hub="x"),)


def test_a_cosignature_counts_by_the_configured_key_and_for_its_own_epoch() -> None:
    notes = [(A, 5, note_of(A, 5)), (A, 9, signed(A, 9)), (A, 8, note_of(A, 8, 2)), (B, 7, note_of(B, 7, name=A)), (B, 3, note_of(B, 3))]
    assert witnessed(notes, hub_key()) == {A: 5, B: 3}
    assert witnessed(notes, hub_key(2)) == {A: 8}
    assert witnessed(notes, None) == {}
    assert cosigned(A, b"no note", hub_key()) is None
    assert witnessed([(A, 9, note_of(A, 5))], hub_key()) == {}, "a row that names another size"
