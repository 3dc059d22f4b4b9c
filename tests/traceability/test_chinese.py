"""Each sentence with which a record or a photo is refused has its Chinese one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from edge_gateway.web.chinese import chinese
from edge_gateway.web.chinese_records import RECORDS

SOURCE = Path(__file__).resolve().parents[2] / "src/edge_gateway"
FILES = (
    *sorted((SOURCE / "traceability").glob("*.py")), SOURCE / "record/photo.py", SOURCE / "journal/photos.py", SOURCE / "page/recording.py",
    SOURCE / "cli/record.py", SOURCE / "cli/record_read.py", SOURCE / "cli/photo.py",
)  # fmt: skip


def sentences() -> set[str]:
    """What ``RecordRefused`` and ``PhotoRefused`` are raised with; whatever is put into a sentence is an x."""
    found = set()
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = {node.targets[0].id: node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("RecordRefused", "PhotoRefused"):
                for each in (*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "hint")):
                    value = named.get(each.id) if isinstance(each, ast.Name) else each
                    if isinstance(value, ast.Constant):
                        found.add(str(value.value))
                    elif isinstance(value, ast.JoinedStr):
                        found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in value.values))
    return found


def test_every_refusal_is_said_in_chinese() -> None:
    found = sentences() - {"lot x: x", "one of x", "one of x, void", "lot x cannot be x: missing x", "'photos' is no list of hashes"}
    assert len(found) > 50
    left = sorted(sentence for sentence in found if not re.search(r"[\u4e00-\u9fff]", chinese(sentence)))
    assert left == []


def test_both_name_the_same() -> None:
    for english, words in RECORDS:
        assert english.count("{}") == words.count("{}"), english
