"""Every kind of mistake, and what `check` says of it in both languages: tests/config/golden.

`<kind>.toml` is the configuration; `#: file NAME` begins another file of the folder, `#: env NAME=VALUE` is a variable of the
environment, `#: mode OCTAL` the mode of the files that follow. `<kind>.txt` is what people read: English, `---`, Chinese.
After a change of words: `GOLDEN=write pytest tests/config/test_golden.py`, and read the difference.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pytest

from edge_gateway.cli.main import run

GOLDEN = Path(__file__).parent / "golden"
KINDS = sorted(file.stem for file in GOLDEN.glob("*.toml"))
SECRET = "hunter2"


def lay_out(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the files of a case below ``folder``; returns the main one."""
    main = folder / "gateway.toml"
    target, mode = main, 0o600
    parts: dict[Path, str] = {main: ""}
    modes: dict[Path, int] = {}
    for line in text.splitlines(keepends=True):
        if line.startswith("#: file "):
            target = folder / line[8:].strip()
            parts[target], modes[target] = "", mode
        elif line.startswith("#: env "):
            name, _, value = line[7:].strip().partition("=")
            monkeypatch.setenv(name, value)
        elif line.startswith("#: mode "):
            mode = int(line[8:], 8)
        elif line.startswith("#: latin1"):
            parts[main] = parts[main].replace("示例站", "Gerätehaus")
        elif not line.startswith("#: nothing"):
            parts[target] += line
    for file, content in parts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("latin1" if "Gerätehaus" in content else "utf-8"))
        file.chmod(modes.get(file, 0o600))
    if "#: nothing" in text:
        main.unlink()
    return main


def said(main: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and stderr of `check`, with the folder shortened."""
    code = run(["--lang", lang, "check", "--config", str(main), "--state", str(main.parent / "state")])
    text = capsys.readouterr().err.replace(str(main.parent), "…")
    return code, re.sub(r"known here: .{200,}", lambda found: found.group(0)[:80] + " …", text)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = (GOLDEN / f"{kind}.toml").read_text(encoding="utf-8")
    main = lay_out(text, tmp_path, monkeypatch)
    (code, english), (_, chinese) = (said(main, lang, capsys) for lang in ("en", "zh"))
    assert code == (0 if "0 errors" in english else 1)
    assert SECRET not in english + chinese
    assert re.search(r"(…/\S+:\d+|…/gateway\.toml|environment \w+)  ", english), "where it is"
    found = f"{english}---\n{chinese}"
    expected = GOLDEN / f"{kind}.txt"
    if os.environ.get("GOLDEN") == "write":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_there_are_enough() -> None:
    assert len(KINDS) >= 60


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_has_a_next_step(kind: str) -> None:
    english = (GOLDEN / f"{kind}.txt").read_text(encoding="utf-8").partition("---")[0].splitlines()
    for line, following in itertools.pairwise(english):
        if line.startswith(("error", "warn")):
            assert following.startswith("       "), f"no hint after: {line}"


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_it_is_said_in_chinese_too(kind: str) -> None:
    chinese = (GOLDEN / f"{kind}.txt").read_text(encoding="utf-8").partition("---")[2].strip().splitlines()
    for line in chinese:
        said = line.rpartition("  ")[2]
        assert re.search("[\u4e00-\u9fff]", said) or said.startswith("chmod "), f"not translated: {line}"
