"""What there is to say of how long the record stays, in Chinese and English: what waits for a person, and why it is full; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.journal.keeping import DAY_US

#: By code: English, Chinese.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "shortening": (
        "the record is kept for {old} days, the configuration asks for {new}: `edge-gateway journal shorten {new} --reason …` by a person puts it in force",
        "台账按 {old} 天保存，配置要求 {new} 天：须由人执行 `edge-gateway journal shorten {new} --reason …` 方可生效",
    ),
    "owed": (
        "hub '{hub}' is no longer configured, and what it is owed stays ({n} entries not witnessed): `edge-gateway journal release --hub {named} --reason …` lets it go",
        "监管端“{hub}”已不在配置中，应交给它的记录继续保留（{n} 条未见证）：`edge-gateway journal release --hub {named} --reason …` 可放行",
    ),
    "no-vkey": (
        "nothing counts as witnessed: the hub's `vkey` is not configured (`regulator-hub key` prints it)",
        "无法算作已见证：未配置监管端的 `vkey`（`regulator-hub key` 可打印）",
    ),
    "no-signer": (
        "nothing can be witnessed: no signer is configured ([signer] socket)",
        "无法见证：未配置签名进程（[signer] socket）",
    ),
    "not-held": (
        "epoch {epoch}: the hub holds {held} of {size} entries, {limit} are witnessed: restore the way to it",
        "纪元 {epoch}：监管端持有 {held} 条（共 {size} 条），已见证 {limit} 条：请恢复到监管端的连接",
    ),
    "not-witnessed": (
        (
            "epoch {epoch}: held, not witnessed ({held} of {size} entries held, {limit} witnessed): accept epoch {epoch} at the hub if it waits there "
            "(`regulator-hub gateways accept {gateway} {epoch}`); what lies behind a declared loss goes by `edge-gateway journal release --epoch {epoch}` only"
        ),
        (
            "纪元 {epoch}：已持有、未见证（共 {size} 条，持有 {held} 条，见证 {limit} 条）：若在监管端等待确认，请接受纪元 {epoch}"
            "（`regulator-hub gateways accept {gateway} {epoch}`）；已声明缺失之后的部分只能由 `edge-gateway journal release --epoch {epoch}` 放行"
        ),
    ),
}
_LANGUAGES = ("en", "zh")


def kept(status: Mapping[str, Any], language: str) -> list[str]:
    """Sentences, of ``Site.status``' parts ``journal``, ``sinks``, ``signing`` and ``site``."""
    at = _LANGUAGES.index(language)
    return [SENTENCES[code][at].format(**facts) for code, facts in _found(status)]


def _found(status: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    journal = status["journal"]
    keeping = journal.get("keeping")
    if keeping is None:
        return
    old, new = keeping["keep_us"] // DAY_US, keeping["asked_us"] // DAY_US
    if new < old:
        yield "shortening", {"old": old, "new": new}
    epochs = keeping["epochs"]
    for due in keeping["dues"]:
        if not due["configured"] and due["waiting"]:
            yield "owed", {"hub": due["hub"], "named": shlex.quote(due["hub"]), "n": due["waiting"]}
    if journal.get("full") and keeping["hub"] is not None and epochs:
        yield from _unwitnessed(status, keeping)


def _unwitnessed(status: Mapping[str, Any], keeping: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Why nothing goes though the hub is there."""
    if not keeping["vkey"]:
        yield "no-vkey", {}
    elif status.get("signing") is None:
        yield "no-signer", {}
    else:
        gateway = status["site"].get("id", "ID")
        for each in keeping["epochs"][:3]:
            facts = {key: each[key] for key in ("epoch", "size", "held", "limit")} | {"gateway": gateway}
            yield "not-witnessed" if each["held"] > each["limit"] else "not-held", facts
