"""What people type as a value: no number, no time, no rule, no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click
import pytest

from edge_gateway.cli.person import NoSecret, secret
from edge_gateway.cli.rules_backtest import _asked


@pytest.mark.parametrize("text", ["r.high=nan", "r.high=inf", "r.violation_after_s=-1", "r.violation_after_s=inf", "r.high=warm", "high=1", "r.colour=1"])
def test_what_is_no_number_or_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        _asked(text)


def test_a_limit_may_be_negative() -> None:
    assert _asked("frozen-store-air.high=-19") == ("frozen-store-air", "high", "-19")


def test_a_file_that_is_longer_than_a_secret_is_refused_and_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("长" * 400)
    with pytest.raises(NoSecret, match="more than"):
        secret(cast("Any", None), file, "")
    file.write_text("long enough secret 7\n")
    assert secret(cast("Any", None), file, "") == "long enough secret 7"
