"""Each sentence with which a mark, a phase or a calibration is refused has its Chinese one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway.web.chinese import chinese
from edge_gateway.web.chinese_marks import MARKS

SOURCE = Path(__file__).resolve().parents[2] / "src/edge_gateway"
FILES = (
    SOURCE / "marks.py", SOURCE / "calibration.py", *sorted((SOURCE / "phases").glob("*.py")), SOURCE / "intake/marking.py", SOURCE / "intake/phasing.py",
    SOURCE / "page/marks.py", SOURCE / "page/phasing.py", SOURCE / "page/calibrating.py", SOURCE / "cli/calibrating.py", SOURCE / "cli/marking.py", SOURCE / "cli/phasing.py",
)  # fmt: skip
RAISED = ("MarkRefused", "PhaseRefused", "CalibrationRefused", "Refused")
#: What is put in makes the sentence (they stand in the list one by one), a list of words, an option, or what no verb can send.
ALIKE = {"x is missing", "--x", "--reason", "x", "no point lies in x 'x'", "'photos' is no list of hashes"}


def _texts(value: ast.expr | None, named: dict[str, list[ast.expr]]) -> Iterator[str]:
    match value:
        case ast.Constant():
            yield str(value.value)
        case ast.JoinedStr():
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in value.values)
        case ast.IfExp():
            yield from (*_texts(value.body, named), *_texts(value.orelse, named))
        case ast.Name():
            for each in named.get(value.id, []):
                yield from _texts(each, {})


def sentences() -> set[str]:
    """What they are raised with; whatever is put into a sentence is an x."""
    found: set[str] = set()
    for file in FILES:
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named: dict[str, list[ast.expr]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named.setdefault(node.targets[0].id, []).append(node.value)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
                    for each in (*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "hint")):
                        found |= set(_texts(each, named))
    return found


def test_every_refusal_is_said_in_chinese() -> None:
    found = sentences() - ALIKE
    assert len(found) > 50
    assert sorted(each for each in found if not re.search(r"[\u4e00-\u9fff]", chinese(each))) == []


def test_both_name_the_same() -> None:
    for english, words in MARKS:
        assert english.count("{}") == len(re.findall(r"\{\d?\}", words)), english


@pytest.mark.parametrize(
    ("english", "words"),
    [
        ("a mark of type defrost lasts at most 60 min", "defrost 类标记最长 60 分钟"),
        ("a mark of type defrost lasts at most 60 min; with those less than 30 min before it 5 min are left", "defrost 类标记最长 60 分钟；连同此前相隔不足 30 分钟的标记，还剩 5 分钟"),
        ("the week's quota of 8 h for calibration is passed at a: 480 min were marked", "测点 a 的 calibration 类标记已超过每周 8 小时的限额：已标记 480 分钟"),
        ("certificate is missing", "缺少证书编号"),
        ("no point lies in zone 'q'", "区域“q”中没有测点"),
        ("what a showed before was not recorded under M-1", "M-1 下没有 a 校准前的记录"),
    ],
)
def test_what_is_named_stays(english: str, words: str) -> None:
    assert chinese(english) == words
