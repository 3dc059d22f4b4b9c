"""C2SP tlog-witness ``add-checkpoint`` at a running hub: each answer that the specification asks for, and none beyond the hub's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import Note, NoteError, Signature, note_bytes
from edge_gateway.record.proof import consistency, extends
from regulator_hub.add_checkpoint import PATH, NotTaken, parse, request_body
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, OTHER, Gateway, gateway, registered, running_hub
from tests.regulator_hub.signing import Hand
from tests.regulator_hub.test_witness import HAND, alarms, evidence, known, witness_key

# The example request of c2sp.org/tlog-witness (C2SP, github.com/C2SP/C2SP, tlog-witness.md; CC BY 4.0).
EXAMPLE = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()
EXAMPLE_ANSWER = """\
— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
"""


def path(entries: Sequence[bytes], old: int) -> list[bytes]:
    leaves = [leaf_hash(entry) for entry in entries]
    return consistency(old, len(leaves), lambda start, width: tree_root(leaves[start : start + width]))


async def post(site: Gateway, body: bytes) -> tuple[int, str, str]:
    """Status, media type, text."""
    async with site.http.post(site.url + PATH, data=body) as answer:
        return answer.status, answer.content_type, await answer.text()


def test_the_specifications_example() -> None:
    asked = parse(EXAMPLE)
    head = Checkpoint.parse(Note.parse(asked.note).text)
    assert (asked.old, len(asked.path), head.origin, head.size) == (20852014, 4, "example.com/behind-the-sofa", 20852163)
    assert request_body(asked.old, asked.path, asked.note) == EXAMPLE
    assert Signature.parse(EXAMPLE_ANSWER.rstrip("\n")).line() == EXAMPLE_ANSWER
    assert not extends(asked.old, b"\0" * 32, head.size, head.root, asked.path)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 5", b"old 5\n\n", b"new 5\n\nx\n", b"old 05\n\nx\n", b"old -1\n\nx\n", b"old  5\n\nx\n", b"old \n\nx\n", b"old 5\r\n\nx\n",
        b"old 5\nAAAA\n\nx\n", b"old 5\n" + b"A" * 44 + b"\n\nx\n", EXAMPLE.replace(b"PlRN", b"PlR\xff"), EXAMPLE.replace(b"kaw=", b"kax="),
        b"old 5\n" + b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 64 + b"\nx\n", b"old " + b"9" * 4000 + b"\n\nx\n",
    ],
)  # fmt: skip
def test_what_is_no_request(body: bytes) -> None:
    try:
        asked = parse(body)
    except NotTaken as refused:
        assert refused.status == 400  # noqa: PT017 -- the status is the point
    else:
        with pytest.raises(NoteError):
            Note.parse(asked.note)


async def test_each_answer_of_the_specification(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(40)
    forged = [*entries[:30], record.batch(30, -99.0), *entries[31:]]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        key = witness_key(tmp_path)

        async def added(old: int, proof: Sequence[bytes], note: bytes) -> int:
            status, _, text = await post(site, request_body(old, proof, note))
            if status == 200:
                plain = Note.parse(note)
                lines = [Signature.parse(line) for line in text.removesuffix("\n").split("\n")]
                assert witnessed_s(Note.parse(note_bytes(plain.text, [*plain.signatures, *lines])), key)
            return status

        assert await added(0, [], HAND.note(entries[:20])) == 503  # nothing of it is held: it is not cosigned by proof alone
        await site.entries(0, entries[:35])
        assert await added(0, [], HAND.note(entries[:20])) == 200
        assert await added(20, [], HAND.note(entries[:20])) == 200  # the same again
        right, note = path(entries[:33], 20), HAND.note(entries[:33])
        for old in (0, 19, 21, 33):
            assert await post(site, request_body(old, right, note)) == (409, "text/x.tlog.size", "20\n")
        assert await added(34, [], note) == 400
        for wrong in ([], right[:-1], [*right, right[0]], [b"\0" * 32, *right[1:]]):
            assert await added(20, wrong, note) == 422
        assert await added(20, path(forged[:33], 20), HAND.note(forged[:33])) == 422  # a right proof of another record
        assert await post(site, request_body(20, [], HAND.note(forged[:20], root=b"\1" * 32))) == (409, "text/x.tlog.size", "20\n")
        assert await added(20, path(entries, 20), HAND.note(entries)) == 503  # more than is held
        assert await added(20, right, Hand(2).note(entries[:33])) == 403
        assert await added(20, right, Hand(name="else.org/tlf-007").note(entries[:33])) == 404
        assert await added(20, right, Hand(name="example.org/tlf-008").note(entries[:33])) == 404
        assert await added(20, right, b"no note") == 400
        assert (await post(site, b"x" * 20_000))[0] == 413
        assert await added(20, right, note) == 200
        assert await added(33, path(entries[:35], 33), HAND.note(entries[:35])) == 200
        async with site.http.get(site.url + PATH) as answer:
            assert answer.status == 405
        assert await alarms(site) == [("fork", f"checkpoint {EPOCH}")]  # signed by the gateway, and of no record that is held
        assert await evidence(site) == [("fork", 33)]
        assert (await site.hello([[EPOCH, 40]]))["witnessed"] == {EPOCH: 35}
        await site.entries(0, entries, OTHER)
        status, _, text = await post(site, request_body(0, [], HAND.note(entries, OTHER)))
        assert (status, "regulator-hub gateways accept" in text) == (403, True)


async def test_without_a_registered_key_no_log_is_known(tmp_path: Path) -> None:
    token, entries = registered(tmp_path), record.start(5)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        assert (await post(site, request_body(0, [], HAND.note(entries))))[0] == 404
        assert await alarms(site) == []
