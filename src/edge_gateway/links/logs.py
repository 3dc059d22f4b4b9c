"""Log lines on stderr, as journald takes them or as a person reads them; knows nothing of what is logged."""

from __future__ import annotations

import logging
import os
import sys

#: syslog priorities as journald reads them in front of a line (sd-daemon(3))
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _JournaldFormatter(logging.Formatter):
    """``<4>text`` without a time of its own: journald stamps the line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", "\n ")
        return f"<{_PRIORITY.get(record.levelno, 6)}>{text}"


def set_up_logging(level: str = "INFO") -> None:
    """Log to stderr: with priorities under systemd, with times elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournaldFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("uvicorn", "uvicorn.access", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
