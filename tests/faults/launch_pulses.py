"""`edge-gateway` for the campaign of pulse totals: small segments, and the faults that the campaign must find.

EDGE_FAULTS_PLANTED=forget: totals are not kept in the record. EDGE_FAULTS_PLANTED=snapshot: they are in batches, not in snapshots.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from edge_gateway.app import run as app
from edge_gateway.cli import main
from edge_gateway.intake.state import State
from edge_gateway.journal.retention import JournalSettings


def plant(planted: str) -> None:
    """Change the program before it starts."""
    smaller = functools.partial(JournalSettings, segment_entries=16)
    setattr(app, "JournalSettings", smaller)  # noqa: B010 -- the name as the program imported it
    if planted == "forget":
        State.keep = lambda state, device, what: None  # type: ignore[method-assign]
    elif planted == "snapshot":
        whole = State.snapshot

        def without(state: State) -> dict[str, Any]:
            return whole(state) | {"kept": {}}

        State.snapshot = without  # type: ignore[method-assign]
    elif planted:
        raise SystemExit(f"no planted fault is called '{planted}'")


if __name__ == "__main__":
    plant(os.environ.get("EDGE_FAULTS_PLANTED", ""))
    main()
