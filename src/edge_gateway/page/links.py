"""What the page says of buses, sinks, journal, clock and configuration, in one language; pure.

Every item has a label, a word for its state, whether it wants a person (``bad``), and lines of detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.links import health_words
from edge_gateway.page.kept import kept
from edge_gateway.page.metrics import answers, is_up
from edge_gateway.page.words import Words
from edge_gateway.units import symbol

#: Counters of a line that are shown when they are not 0.
_SHOWN = ("timeouts", "crc_errors", "damaged", "exceptions", "late", "retries")
#: A sink with more entries waiting than this is said so in the strip.
BACKLOG_SHOWN = 100


def links(status: Mapping[str, Any], resolved: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """All of them in a fixed order; what wants a person is marked, not moved: people learn places."""
    items = [_alarm(alarm, words) for alarm in status.get("alarms", ())]
    items += [_drift(item, words) for item in status.get("drift", ()) if item["differs"]]
    items.append(_clock(status["clock"], words))
    items += [_bus(name, health, resolved, words) for name, health in status["buses"].items()]
    kinds = {name: str(sink.get("kind", "")) for name, sink in resolved.get("sinks", {}).items()}
    items += [_sink(name, sink, kinds.get(name, ""), words) for name, sink in status["sinks"].items()]
    return [*items, _journal(status, words), _config(status, words)]


def _item(id_: str, label: str, word: str, *, bad: bool = False, kind: str = "", name: str = "") -> dict[str, Any]:
    """``ticks`` are sentences that grow older."""
    return {
        "id": id_,
        "label": label,
        "name": name,
        "kind": kind,
        "word": word,
        "bad": bad,
        "lines": [],
        "ticks": [],
        "said": "",
    }


def _drift(found: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A device that is not set as its parameter sheet says."""
    device = str(found["device"])
    item = _item(f"drift-{device}", words.t["link.drift"], device, bad=True)
    for row in found["differs"]:
        unit = f" {symbol(row['unit_of_measure'])}" if row["unit_of_measure"] else ""
        said = {"parameter": row["parameter"], "value": f"{row['value']}{unit}", "wanted": f"{row['wanted']}{unit}"}
        item["lines"].append(words.say("link.drift.row", **said))
    item["ticks"].append(words.tick("tick.drift", found["wall_us"]))
    return item


def _alarm(alarm: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """What a person should look at now, that is no violation of a limit."""
    item = _item(f"alarm-{alarm['code']}", words.t["link.alarm"], str(alarm["code"]), bad=True)
    item["said"] = str(alarm["why"])
    return item


def _clock(clock: Mapping[str, Any], words: Words) -> dict[str, Any]:
    key = "untrusted" if not clock["trusted"] else "declared" if clock["trust"] == "declared" else "trusted"
    item = _item("clock", words.t["link.clock"], words.t[f"clock.{key}"], bad=not clock["trusted"])
    if clock.get("speed", 1.0) != 1.0:
        item["lines"].append(words.say("clock.scaled", n=f"{clock['speed']:g}"))
    return item


def _bus(name: str, health: Mapping[str, Any], resolved: Mapping[str, Any], words: Words) -> dict[str, Any]:
    kind = str(resolved.get("buses", {}).get(name, {}).get("kind") or health.get("kind", ""))
    state = "up" if is_up(health) else "idle" if health.get("state") == "idle" else "down"
    devices = health.get("devices", {})
    silent = [device for device, about in devices.items() if not answers(about)]
    key = "part" if state == "up" and silent else state
    item = _item(f"bus-{name}", words.t["link.buses"], words.t[f"link.bus.{key}"], name=name)
    item["bad"] = key in ("down", "part")
    item["kind"] = words.t.get(f"link.kind.{kind}", kind)
    item["lines"].append(words.say("link.devices", n=len(devices) - len(silent), all=len(devices)))
    if silent:
        item["lines"].append(words.say("link.silent", devices=", ".join(silent)))
    _health(item, health, words)
    if state == "down":
        item["said"] = str(health.get("said") or health.get("last_error") or health.get("trouble") or "")
    return item


def _health(item: dict[str, Any], health: Mapping[str, Any], words: Words) -> None:
    """The line's counters, and what is wrong with it: what is seen, what may be behind it, what to do."""
    link = health.get("link")
    if not link or not link["units"]:
        return
    units = link["units"].values()
    total = {key: sum(unit[key] for unit in units) for key in ("frames", *_SHOWN)}
    more = [words.say(f"link.count.{key}", n=total[key]) for key in _SHOWN if total[key]]
    answers = words.say("link.count.frames", n=f"{_rounded(total['frames']):,}") if total["frames"] else ""
    item["lines"].append(" · ".join([answers or words.t["link.count.none"], *more]))
    told = False
    for finding in link["findings"]:
        if finding["level"] == "ok":
            continue
        short = health_words.short(finding["code"], words.language)
        if finding["level"] == "fail" and not told:
            told = item["bad"] = True
            if health.get("state") == "up":
                item["word"] = short
        where = words.say("link.unit", n=", ".join(map(str, finding["units"]))) if finding["units"] else ""
        hours = sorted({f"{words.local(at_s * 1_000_000):%H}" for at_s in finding["hours"]})
        when = words.say("link.hours", hours=", ".join(hours)) if hours else ""
        item["lines"].append(" ".join(part for part in (where, short, when) if part))
        if finding["causes"]:
            causes = words.t["link.or"].join(health_words.causes(finding["causes"], words.language))
            item["lines"].append(words.say("link.likely", causes=causes))
            item["lines"].append(words.say("link.next", step=health_words.next_step(finding["causes"], words.language)))


def _rounded(count: int) -> int:
    """Down to two digits (one below 100): a line that is well must not make the page differ with every answer."""
    tens: int = 10 ** max(1, len(str(count)) - 2)
    return int(count // tens * tens)


def _sink(name: str, sink: Mapping[str, Any], kind: str, words: Words) -> dict[str, Any]:
    state = str(sink["state"])
    item = _item(f"sink-{name}", words.t["link.sinks"], words.t.get(f"link.sink.{state}", state), name=name)
    item["kind"] = words.t.get(f"link.kind.{kind}", kind)
    item["bad"] = state not in ("ok", "connecting")
    backlog = sink["backlog"]
    item["lines"].append(words.say("link.backlog", n=backlog) if backlog else words.t["link.backlog.none"])
    item["backlog"] = words.say("link.backlog", n=backlog) if backlog > BACKLOG_SHOWN else ""
    for key in ("rejected", "skipped"):
        if sink[key]:
            item["lines"].append(words.say(f"link.{key}", n=sink[key]))
    for epoch in sink.get("witness", {}).get("pending", ()):
        item["lines"].append(words.say("link.pending", epoch=epoch))
    if item["bad"] and sink["last_ok_wall_us"]:
        item["ticks"].append(words.tick("tick.ok", sink["last_ok_wall_us"]))
    item["said"] = str(sink["why"])
    if budget := sink.get("budget"):
        used = {"used": words.size(budget["used"]), "most": words.size(budget["bytes_per_day"])}
        item["lines"].append(words.say("link.budget", **used))
        if budget["until_us"] is not None:
            item["said"] = words.say("link.budget.spent", until=words.when(budget["until_us"]), **used)
    return item


def _journal(status: Mapping[str, Any], words: Words) -> dict[str, Any]:
    journal = status["journal"]
    item = _item("journal", words.t["link.journal"], words.t["journal.full" if journal["full"] else "journal.ok"])
    item["bad"] = bool(journal["full"] or journal.get("damaged") or journal.get("troubled"))
    hours, per_day = journal.get("autonomy_hours"), journal.get("bytes_per_day")
    size = {"size": words.size(journal["size_bytes"]), "max": words.size(journal["max_bytes"])}
    item["lines"].append(words.say("journal.size", **size))
    if per_day and hours is not None:
        item["lines"].append(words.say("journal.day", size=words.size(per_day)))
        item["lines"].append(words.say("journal.autonomy", **{"for": words.span("for", int(hours * 3.6e9))}))
    else:
        item["lines"].append(words.t["journal.learning"])
    item["lines"].append(words.say("journal.entries", n=f"{journal['committed_seq']:,}"))
    if item["bad"] and journal.get("last_commit_us"):
        item["ticks"].append(words.tick("tick.commit", journal["last_commit_us"]))
    for key in ("damaged", "troubled"):
        if journal.get(key):
            item["lines"].append(words.say(f"journal.{key}", why=journal[key]))
    sentences = kept(status, words.language)
    item["lines"] += sentences
    item["bad"] = item["bad"] or bool(sentences)
    item["full"] = bool(journal["full"])
    return item


def _config(status: Mapping[str, Any], words: Words) -> dict[str, Any]:
    config = status["config"]
    applied = words.say("config.applied", sha=config["sha256"][:8], time=words.when(config["applied_wall_us"]))
    item = _item("config", words.t["link.config"], applied)
    if config["rejected"]:
        item |= {"bad": True, "said": config["rejected"]}
        item["word"] = words.say("config.rejected", time=words.when(config["rejected_wall_us"]))
        item["lines"].append(applied)
    if config["pending_restart"]:
        item["lines"].append(words.say("config.restart", keys=", ".join(config["pending_restart"])))
    item["lines"].append(words.say("config.version", version=status["version"]))
    item["ticks"].append(words.tick("tick.running", status["started_wall_us"]))
    return item
