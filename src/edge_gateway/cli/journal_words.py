"""What a verdict on a record says to people, in both languages; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.cli.verbs import Context
from edge_gateway.cli.words import local
from edge_gateway.evidence.judge import BROKEN, VERIFIED, Through, Verdict
from edge_gateway.evidence.make import PROVES_NOT

#: Code of an undecided outcome -> sentences; ``{…}`` are its facts.
REASONS: Mapping[str, tuple[str, str]] = {
    "malformed": ("it is no evidence pack as they are made: {why}", "不是正常的证据包：{why}"),
    "newer-format": ("it was made by a newer release ({format}): verify it with that one", "由更新的版本生成（{format}）：请用该版本核验"),
    "unknown-key": (
        "unknown key {names}: whoever can write this could have signed it; name the gateway's key, from elsewhere, with --key",
        "未知公钥 {names}：能写入此内容的人也能如此签名；请用 --key 给出来自别处的网关公钥",
    ),
    "unknown-witness": ("unknown key {names} of a witness: name the hub's key, from elsewhere, with --witness", "见证者公钥 {names} 未知：请用 --witness 给出来自别处的监管端公钥"),
    "unsigned": (
        "it is whole, but no checkpoint and key decide: whoever can write it could have written all of it",
        "内容完整，但没有可据以判定的检查点和公钥：能写入的人也可能重写全部内容",
    ),
    "not-witnessed": ("no checkpoint here carries a valid cosignature of that witness", "此处没有检查点带有该见证者的有效联署"),
    "bad-signature": ("no checkpoint here carries a valid signature of that key", "此处没有检查点带有该公钥的有效签名"),
    "bad-checkpoint": ("no checkpoint here can be compared with the entries", "此处没有检查点可与记录核对"),
    "root-lost": ("roots before it are lost: no checkpoint can be compared", "之前的根已丢失：无法与检查点核对"),
    "checkpoint-within": ("a checkpoint here ends within entries that are not here", "此处有检查点落在此处没有的记录之内"),
    "against-unknown": ("that checkpoint does not count by the keys that were given", "按给出的公钥，该检查点不能算数"),
    "against-elsewhere": ("that checkpoint is of epoch {epoch}, which is not in this pack", "该检查点属于纪元 {epoch}，不在此证据包中"),
    "against-newer": (
        "that checkpoint is over {size} entries, this pack ends at {here}: it may have been cut back; have a new one made",
        "该检查点覆盖 {size} 条，此证据包止于 {here} 条：可能被截短；请重新导出",
    ),
    "against-within": ("that checkpoint ends within entries that are not here", "该检查点落在此处没有的记录之内"),
    "untied": ("epoch {epoch} does not name the end of epoch {before}", "纪元 {epoch} 未指明纪元 {before} 的末尾"),
    "hole": ("{entries} entries of the period are not here, only their roots", "该时段有 {entries} 条记录不在此处，只有其根"),
    "beyond-through": ("entries of epoch {epoch} from {through} on lie within the period, and nobody vouches for them", "纪元 {epoch} 第 {through} 条及以后的记录在该时段之内，而无人担保"),
    "begins-later": ("what is here begins after the period that it claims", "此处的记录晚于所声称时段的起点"),
    "beyond-witness": (
        "it claims a period up to {to}, but what is vouched for ends at {through}",
        "声称的时段到 {to}，而得到证明的只到 {through}",
    ),
}


#: The end of the year 9999: a later time is shown as it is.
_LAST_S = 253_402_000_000


def why(ctx: Context, verdict: Verdict, zone: str) -> str:
    """The sentence on an outcome that is not *verified*; "" on one that is."""
    if verdict.broken is not None:
        return verdict.broken.why
    if verdict.outcome == VERIFIED:
        return ""
    facts: dict[str, Any] = dict(verdict.facts)
    facts["names"] = ", ".join(facts.get("names") or ()) or "-"
    for name in ("to", "through"):
        if isinstance(moment := facts.get(f"{name}_us"), int):
            facts[name] = local(moment, zone) if abs(moment) < 2**58 else "-"
    sentence = ctx.say(*REASONS[verdict.code]).format_map(facts)
    return "".join(letter if letter.isprintable() else "?" for letter in sentence)  # names come out of files: none steers a terminal


def lines(ctx: Context, verdict: Verdict, zone: str) -> Iterator[str]:
    """Everything that is said."""
    for each in verdict.epochs:
        kept = ctx.say(f", {each.kept} known by their roots only", f"，{each.kept} 条只存根") if each.kept else ""
        yield ctx.say(
            f"epoch {each.epoch}  {each.size} entries, {each.checked} hashes recomputed{kept}  root {each.root[:16]}…",
            f"纪元 {each.epoch}  共 {each.size} 条，重算散列 {each.checked} 条{kept}  根 {each.root[:16]}…",
        )
    for reached in verdict.throughs:
        if reached.size:
            yield _complete(ctx, reached, zone)
    if not any(reached.size for reached in verdict.throughs):
        yield ctx.say("no entry is vouched for by the keys that were given", "没有任何记录条目得到给出的公钥的担保")
    reason = why(ctx, verdict, zone)
    if verdict.outcome == BROKEN:
        yield ctx.say(f"BROKEN{_place(verdict, ' at {}')}: {reason}", f"已损坏{_place(verdict, '，位于 {}')}：{reason}")
    elif verdict.outcome == VERIFIED:
        yield from _verified(ctx, verdict, zone)
    else:
        yield ctx.say(f"CANNOT DECIDE: {reason}", f"无法判定：{reason}")


def _complete(ctx: Context, reached: Through, zone: str) -> str:
    """How far an epoch is vouched for; for the proof of one entry, which tree it stands in."""
    place = f"{reached.epoch}/{reached.size - 1}"
    if reached.time_s is None:
        return ctx.say(f"complete through entry {place}, not witnessed", f"完整至 {place}，未见证")
    when = local(reached.time_s * 1_000_000, zone) if reached.time_s < _LAST_S else f"{reached.time_s} s"
    return ctx.say(f"complete through entry {place}, witnessed at {when}", f"完整至 {place}，见证于 {when}")


def _verified(ctx: Context, verdict: Verdict, zone: str) -> Iterator[str]:
    claim = verdict.manifest.claim if verdict.manifest else None
    if claim is not None:
        span = f"{local(claim.from_us, zone)} – {local(claim.to_us, zone)}"
        yield ctx.say(f"period {span}: every entry is here", f"时段 {span}：记录齐全")
    yield ctx.say("VERIFIED", "已核验")
    yield ctx.say("What this does not prove:", "这不能证明：")
    for sentence in PROVES_NOT["zh" if ctx.language == "zh" else "en"]:
        yield f"  - {sentence}"


def _place(verdict: Verdict, form: str) -> str:
    broken = verdict.broken
    if broken is None or not broken.epoch:
        return ""
    return form.format(f"{broken.epoch}/{broken.first}" + (f"–{broken.last}" if broken.last > broken.first else ""))


def answer(ctx: Context, verdict: Verdict, zone: str) -> dict[str, Any]:
    """As ``--json`` says it (``edge-gateway/journal-verify/1``)."""
    decisive = next((each for each in reversed(verdict.throughs) if each.size), None)
    told: dict[str, Any] = {
        "outcome": verdict.outcome,
        "code": verdict.code,
        "why": why(ctx, verdict, zone),
        "epochs": [{name: getattr(each, name) for name in ("epoch", "size", "root", "checked", "kept")} for each in verdict.epochs],
        "through": [{"epoch": each.epoch, "size": each.size, "witnessed_s": each.time_s, "code": each.code} for each in verdict.throughs],
    }
    if decisive is not None:
        told["checkpoint"] = {"epoch": decisive.epoch, "size": decisive.size, "witnessed_s": decisive.time_s}
    if verdict.broken is not None and verdict.broken.epoch:
        told["at"] = {"epoch": verdict.broken.epoch, "first": verdict.broken.first, "last": verdict.broken.last}
    if verdict.manifest is not None and (claim := verdict.manifest.claim) is not None:
        told["claim"] = {"from_us": claim.from_us, "to_us": claim.to_us, "points": claim.points, "violation": claim.violation}
    return told
