"""The text of small packs that tests bind: what every pack begins with and every rule ends with; what a rule is about stands in its test."""

from __future__ import annotations


def head(id_: str, name_zh: str, name_en: str) -> str:
    """The lines before the first rule."""
    return f'id = "{id_}"\nversion = "1.0.0"\nedition = "2026-11"\nname_zh = "{name_zh}"\nname_en = "{name_en}"\n'


def tail(titles: tuple[str, str], do: tuple[str, str]) -> str:
    """What stands behind a rule's numbers; titles, and one thing to do, in Chinese and English."""
    return f"""severity = "minor"
department = "market-regulation"
title_zh = "{titles[0]}"
title_en = "{titles[1]}"
do_zh = ["{do[0]}"]
do_en = ["{do[1]}"]
[rule.basis]
standard = "operator"
clause = "none"
edition = "2026-11"
effective_from = "unknown"
verified = "no"
source = "operator's choice"
"""
