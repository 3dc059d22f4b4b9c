"""What `record list --all|show|trace` say where part of the journal does not read: that it is not all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_gateway.cli.main import OK, WARNINGS, run

STATE = Path(__file__).resolve().parents[1] / "fixtures" / "journal-v1" / "state"


def test_a_segment_that_is_not_there_is_told_and_the_exit_code_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Path(shutil.copytree(STATE, tmp_path / "state"))
    whole = ["--lang", "en", "--state", str(state), "record", "list", "--all"]
    assert run(whole) == OK
    capsys.readouterr()
    min(path for path in (state / "segments").rglob("*") if path.is_file()).unlink()
    assert run(whole) == WARNINGS
    assert "not read, the record is damaged at" in capsys.readouterr().err
