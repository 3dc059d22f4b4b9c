"""What keeps a record from being judged at all, under exit codes that no outcome has; knows nothing of outcomes.

A mistyped key or folder must not end with 1: a script would take an honest record for a broken one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_gateway.cli.main import NO, USAGE, WARNINGS
from edge_gateway.errors import GatewayError, JournalDamaged, JournalError, JournalTooNew


class NotJudged(GatewayError):
    """The same error, ending with another code."""

    def __init__(self, error: GatewayError, exit_code: int) -> None:
        super().__init__(error.why, hint=error.hint)
        self.exit_code = exit_code


@contextmanager
def judging(*, damaged: int = NO) -> Iterator[None]:
    """A newer release's record cannot be decided; what is no record was named wrongly; ``damaged``: the code of one that does not open. Raises NotJudged."""
    try:
        yield
    except JournalTooNew as error:
        raise NotJudged(error, WARNINGS) from error
    except JournalDamaged as error:
        raise NotJudged(error, damaged) from error
    except JournalError as error:
        raise NotJudged(error, USAGE) from error
