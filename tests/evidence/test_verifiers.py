"""Both verifiers, the gateway's in Python and verify.html's in JavaScript, give every vector the answer that it wants: the short form."""

from __future__ import annotations

import re
import shutil

import pytest

from edge_gateway.record.entry import MAX_ENTRY_BYTES
from tests.evidence import javascript_answers, python_answers
from tests.evidence.javascript_answers import PAGE
from tests.vectors import oracle
from tests.vectors.generated import generated, is_bad, published

SHORT = [*published(), *generated(400, 20261128)]


def test_half_of_the_vectors_are_bad() -> None:
    many = list(generated(2000, 3))
    assert 0.45 < sum(map(is_bad, many)) / len(many) < 0.6
    assert [each["name"] for each in generated(5, 1)] == [each["name"] for each in generated(9, 1)][:5]


def test_python_gives_every_vector_the_answer_that_it_wants() -> None:
    wrong = [each["name"] for each in SHORT if python_answers.answer(each) != each["want"]]
    assert wrong == []


async def test_the_page_does_in_chromium_without_bigint_subtle_and_decompression() -> None:
    answers = await javascript_answers.by_chromium(SHORT)
    assert [each["name"] for each, answer in zip(SHORT, answers, strict=True) if answer != each["want"]] == []


@pytest.mark.parametrize("more", [0, 1])
async def test_both_read_a_member_of_the_greatest_size_and_neither_one_of_a_byte_more(more: int) -> None:
    entries = [_entry(seq, MAX_ENTRY_BYTES) for seq in range(255)] + [_entry(255, MAX_ENTRY_BYTES + more)]
    file = oracle.segment("0123456789abcdef", 0, entries, 256)
    given = {"file": oracle.b64(file), "epoch": "0123456789abcdef", "first": 0}
    want = "bad" if more else {"count": 256, "root": oracle.root_of([oracle.leaf(each) for each in entries]).hex()}
    vector = {"kind": "segment", "given": given, "want": want}
    assert python_answers.answer(vector) == want
    assert await javascript_answers.by_chromium([vector]) == [want]


def _entry(seq: int, size: int) -> bytes:
    head = b'{"v":1,"seq":%d,"kind":"x","pad":"' % seq
    return head + b"a" * (size - len(head) - 2) + b'"}'


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; Chromium is asked the same")
def test_the_page_does_under_node() -> None:
    answers = javascript_answers.by_node(SHORT)
    assert [each["name"] for each, answer in zip(SHORT, answers, strict=True) if answer != each["want"]] == []


def test_the_page_asks_nothing_of_the_network_and_nothing_newer_than_2017() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'" in text
    for never in ("http://", "https://", "innerHTML", "insertAdjacentHTML", "document.write"):
        assert never not in text, never
    code = _without_texts(text)
    for newer in ("?.", "??", "BigInt", "crypto.", "DecompressionStream", "fetch(", "XMLHttpRequest", "import ", "catch {", "**=", ".flat(", ".at(", "..."):
        assert newer not in code, newer


def _without_texts(page: str) -> str:
    """The scripts without their comments and texts."""
    code = "".join(re.findall(r'<script id="[a-z0-9]+">(.*?)</script>', page, re.DOTALL))
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', code)
