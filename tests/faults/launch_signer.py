"""The signer's program as a campaign starts it; EDGE_FAULTS_PLANTED=forgets makes one whose ledger stays as it was born: what it signs it keeps in memory alone."""

from __future__ import annotations

import os

from edge_gateway.cli import main
from edge_gateway.signer import ledger

if __name__ == "__main__":
    if os.environ.get("EDGE_FAULTS_PLANTED") == "forgets":
        write = ledger.File.write
        ledger.File.write = lambda self, its: write(self, its) if not its.logs else None
    main()
