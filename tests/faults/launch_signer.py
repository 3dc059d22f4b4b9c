"""The signer's program as a campaign starts it; EDGE_FAULTS_PLANTED=forgets makes one that keeps its ledger in memory alone."""

from __future__ import annotations

import os

from edge_gateway.cli import main
from edge_gateway.signer import ledger

if __name__ == "__main__":
    if os.environ.get("EDGE_FAULTS_PLANTED") == "forgets":
        ledger.File.write = lambda self, ledger: None
    main()
