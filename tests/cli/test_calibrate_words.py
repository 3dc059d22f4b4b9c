"""What `calibrate` says of the rules that judge by what it found, in both languages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge_gateway.cli.calibrating import _record

MADE = {"reading": 0.3, "reference": 0.0, "error": 0.3, "unit": "Cel", "seq": 7}
ASKED: dict[str, Any] = {"wait_s": 1.0, "band": 0.1, "steady_s": 0.0, "as_json": False, "reference": 0.0, "uncertainty": 0.5, "certificate": "LH-118", "reason": "annual", "allowed": None, "medium": "", "due": ""}


class Gateway:
    """Answers as the control socket does."""

    def __init__(self, **made: Any) -> None:
        self.made = MADE | made

    def get(self, path: str) -> dict[str, Any]:
        return {"points": [{"point": "room", "value": 0.3, "stale": False}]} if path == "/v1/points" else {"timezone": "Asia/Shanghai"}

    def post(self, _path: str, _body: dict[str, Any]) -> dict[str, Any]:
        return self.made


@pytest.mark.parametrize(("zh", "said"), [(False, "room-air: from now on nothing is decided within ±0.5 °C of its limit"), (True, "room-air：此后距限值 ±0.5 °C 以内不作判定")])
def test_it_names_the_rules_whose_guard_band_it_makes(zh: bool, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    context: Any = SimpleNamespace(say=lambda en, chinese: chinese if zh else en)
    gateway: Any = Gateway(guard={"room-air": "0.5"})
    assert _record(context, gateway, "as-left", "room", ASKED) == 0
    assert said in capsys.readouterr().out
    gateway = Gateway()
    assert _record(context, gateway, "as-left", "room", ASKED) == 0
    assert "room-air" not in capsys.readouterr().out
