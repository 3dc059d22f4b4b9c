"""What persons did about a violation, out of its entries: state, deadlines, steps; and what became of hub commands. Pure, and judges nothing.

What is in an entry comes from outside: each value is taken as what it should be, or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulator_hub.outside import is_whole, text

#: Steps listed of one violation, the newest; answers to commands remembered of one gateway; characters of a text.
MAX_STEPS, MAX_ANSWERS, MAX_TEXT = 40, 200, 500
#: Steps of rules that tell the story; those of persons always do.
_TELLING = frozenset({"violated", "recovered", "overdue", "merged", "unmerged", "active"})
_TEXTS = ("by", "reason", "proof", "referred", "into", "title", "level", "command")
_ANSWER_TEXTS = ("id", "verb", "violation", "by", "hub", "reason", "outcome", "why", "said", "to", "deadline")


def told(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``violation`` entry says of handling."""
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in _TEXTS if content.get(key)}
    found |= {"episode": _count(content.get("episode"), 1), "returns": _count(content.get("returns"), 0), "holds": _count(content.get("holds"), 0)}
    due = content.get("due")
    found["due"] = {str(k)[:16]: us for k, us in list(due.items())[:8] if us is None or is_whole(us)} if isinstance(due, dict) else {}
    if (opened := place(content.get("opened"))) is not None:
        found["opened"] = opened
    follows = content.get("follows")
    if isinstance(follows, dict) and follows.get("violation"):
        found["follows"] = text(follows["violation"], MAX_TEXT)
    scope = content.get("scope")
    if isinstance(scope, dict):
        found["scope"] = {key: _texts(scope[key]) for key in ("zone", "zones", "points", "lots") if key in scope}
    return found


def place(value: Any) -> dict[str, Any] | None:
    """``{"epoch", "seq"}``, or None for what is none."""
    if isinstance(value, dict) and isinstance(value.get("epoch"), str) and is_whole(value.get("seq")):
        return {"epoch": value["epoch"][:16], "seq": value["seq"]}
    return None


def row(rows: Mapping[str, Any], at: tuple[str, int], content: Mapping[str, Any]) -> str:
    """Under which name the ``violation`` entry ``at`` is listed: its id, which a gateway that lost its record may give twice; then with where it opened.

    The entry that opens one cannot name its own place; those of older releases never do.
    """
    name = str(content["violation"])
    said = place(content.get("opened"))
    mine = said or {"epoch": at[0], "seq": at[1]}
    second = f"{name}@{mine['epoch']}/{mine['seq']}"
    known = rows.get(name)
    if second in rows or (known is not None and mine != known.get("born") and (_other(known, content) if said is None else _elsewhere(known, said))):
        return second
    return name


def born(before: Mapping[str, Any] | None, at: tuple[str, int], content: Mapping[str, Any]) -> dict[str, Any]:
    """Where a violation opened, as far as is known: the first of its entries that came here, until one says it."""
    return place(content.get("opened")) or (before or {}).get("born") or {"epoch": at[0], "seq": at[1]}


def _elsewhere(known: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether what is listed opened elsewhere. What was listed by an earlier release does not say where."""
    where = known.get("opened") or known.get("born")
    return where is not None and where != said


def _other(known: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether an entry that names no place opens another: a later one would name its place, or is of the same rule and point."""
    opens = content.get("step") == "notice" or (content.get("step") == "violated" and bool(known["violated"]))
    return opens and (bool(known.get("opened")) or (known["rule"], known["point"]) != (str(content["rule"]), str(content["point"])))


def log(known: list[dict[str, Any]], at: tuple[str, int], content: Mapping[str, Any], order: Mapping[str, int]) -> list[dict[str, Any]]:
    """The steps with the one of entry ``at``, in the order of the record; one that comes again (live, then in order) is the same."""
    if not content.get("step") or not (content.get("by") or content["step"] in _TELLING):
        return known
    step: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in ("step", "handling", "condition", "by", "proof", "reason", "command") if content.get(key)}
    step |= {"epoch": at[0], "seq": at[1], "wall_us": _instant(content)}
    others = [each for each in known if (each["epoch"], each["seq"]) != at]
    return sorted([*others, step], key=lambda each: (order.get(each["epoch"], -1), each["seq"]))[-MAX_STEPS:]


def answer(epoch: str, seq: int, content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A ``command`` entry: the SHA-256 of the note that it answers, and what became of that. Raises ValueError."""
    name = content.get("note_sha256")
    if not isinstance(name, str) or len(name) != 64 or content.get("outcome") not in ("executed", "refused", "deferred"):
        raise ValueError("no answer to a hub command")
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in _ANSWER_TEXTS if content.get(key)}
    for key in ("old", "new"):
        if isinstance(content.get(key), dict):
            found[key] = " ".join(text(content[key].get(part, ""), MAX_TEXT)[:16] for part in ("condition", "handling", "episode", "returns"))
    if (where := place(content.get("opened"))) is not None:  # of which violation: its number may be another's too
        found["opened"] = where
    return name, found | {"epoch": epoch, "seq": seq, "wall_us": _instant(content)}


def below(rows: Mapping[str, Mapping[str, Any]], name: str, seen: frozenset[str] = frozenset()) -> list[tuple[str, Mapping[str, Any]]]:
    """(row, step) of what goes on as part of the violation called so, and of that: each behind its cause, each once."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for key, step in rows.items():
        if step.get("into") == name and not step["ended"] and step["violation"] not in (*seen, name):
            found += [(key, step), *below(rows, str(step["violation"]), seen | {name})]
    return found


def over_with(rows: Mapping[str, Mapping[str, Any]], row: str) -> list[str]:
    """Rows that end with this one: what it held and what has recovered. A gateway writes no entry of that."""
    name = rows[row]["violation"]
    return [key for key, step in rows.items() if step.get("into") == name and not step["ended"] and step["condition"] == "recovered"]


def overdue(step: Mapping[str, Any], now_us: int) -> list[str]:
    """Deadlines of an open violation that are over by this clock, whatever its gateway says or does not say."""
    if step["ended"] or step.get("into") or not step["violated"]:
        return []
    return [what for what, due_us in (step.get("due") or {}).items() if due_us is not None and due_us < now_us]


def _texts(value: Any) -> list[str]:
    return [str(each)[:64] for each in (value if isinstance(value, list) else [value])[:50]]


def _instant(content: Mapping[str, Any]) -> int:
    if not is_whole(content["wall_us"]):
        raise ValueError("'wall_us' is no whole number")
    return int(content["wall_us"])


def _count(value: Any, default: int) -> int:
    return int(value) if is_whole(value) and value >= 0 else default
