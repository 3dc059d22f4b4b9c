"""The InfluxDB sink of every generation: journal entries in, lines out, what is refused found and set aside.

Knows the journal's reader and one ``post(body)``; not which InfluxDB, which URL, or who asks.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_gateway.clock import Clock
from edge_gateway.errors import NotAuthorised, SinkError, Unreachable
from edge_gateway.journal.base import Position, Quarantined, Reader
from edge_gateway.sinks.base import Outcome, Rejected, Run
from edge_gateway.sinks.influxdb_feed import Feed, Held, Undecodable
from edge_gateway.sinks.influxdb_split import OK, Answer, Findings, Plan, Splitter, Try
from edge_gateway.sinks.influxdb_time import TrustedTime
from edge_gateway.wire import line

#: Lines in one request.
MAX_LINES = 1000
#: Paced requests (series tried alone, …) at once, and their refill a second.
PACED_BURST = 40
PACED_PER_S = 20.0
#: Series remembered as bad; beyond it the oldest is forgotten and found again.
MAX_SUSPECTS = 1000
#: Series named in status.
SHOWN_SUSPECTS = 20
_MAX_LINE_SHOWN = 4096


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: status, its own words, and when to come back if it said so."""

    status: int
    words: str = ""
    retry_after_s: float | None = None
    sent: int = 0  # bytes of the body as it went out


class Transport(Protocol):
    """One generation's way of writing."""

    @property
    def where(self) -> str:
        """For people: the address and database or bucket; never a secret."""
        ...

    async def post(self, body: bytes) -> Reply:
        """Write once. Raises Unreachable when there is no answer."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Job:
    """Whole consecutive entries on their way: their lines, the plan, and what it waits for."""

    position: Position
    texts: list[str]
    ends: list[int]  # for each entry: how many lines it and those before it have
    rejected: list[Rejected] = field(default_factory=list)
    plan: Plan | None = None
    waiting: Try | None = None


class InfluxSink:
    """Delivers entries as line protocol. One caller at a time; unfinished work survives until the next call."""

    max_entries = 1000
    max_bytes = 1 << 20

    def __init__(self, name: str, transport: Transport, *, site: str, clock: Clock, hold_us: int) -> None:
        self._name = name
        self._transport = transport
        self._site = site
        self._clock = clock
        self._feed = Feed(site, TrustedTime(clock, hold_us))
        self._job: _Job | None = None
        self._spare: tuple[Position, list[str]] | None = None  # lines made that did not fit into the last job
        self._owed: SinkError | None = None
        self._suspects: dict[str, None] = {}
        self._most_lines = MAX_LINES
        self._paced = float(PACED_BURST)
        self._paced_s = 0.0
        self.sent_bytes = 0
        self._counts = {"requests": 0, "lines": 0, "refused_requests": 0, "rejected_lines": 0}
        self._state, self._why = "idle", ""

    @property
    def name(self) -> str:
        """The sink's id in the configuration."""
        return self._name

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        """Write a run's entries. Raises Unreachable or NotAuthorised when none of it could be written.

        If trouble comes after some entries were written, those are accepted and the trouble is raised by the next
        call, so that a server which is only just overloaded still makes progress.
        """
        self._raise_owed()
        outcome = Outcome(accepted=0)
        try:
            while outcome.accepted < len(run.entries):
                job = await self._next_job(run, outcome.accepted, reader)
                if not await self._work_off(job):
                    outcome.held = "refused series are tried alone, paced"
                    break
                self._job = None
                outcome.accepted += len(job.ends)
                outcome.rejected += job.rejected
        except Held as held:
            outcome.held = held.why
        except SinkError as error:
            self._note(error)
            if not outcome.accepted:
                raise
            self._owed = error
            return outcome
        self._state, self._why = ("held", outcome.held) if outcome.held else ("ok", "")
        return outcome

    async def retry(self, items: Sequence[Quarantined]) -> list[tuple[int, str]]:
        """Offer quarantined lines again: (id, "") where the server took it, else (id, its words now); pacing applies.

        Raises SinkError as ``deliver`` does; nothing may be concluded then. Lines stay in the quarantine until the
        caller drops those that were taken. Items beyond what pacing allows now are not in the answer: ask again.
        """
        results: list[tuple[int, str]] = []
        for item in items:
            if not self._take_paced():
                break
            answer = await self._say(item.line)
            results.append((item.id, "" if answer.ok else answer.reason))
        return results

    def status(self) -> dict[str, Any]:
        """State, why, where to, counters, and the series that are tried alone."""
        return {
            "link": self._state,
            "link_why": self._why,
            "where": self._transport.where,
            "bad_series": list(self._suspects)[:SHOWN_SUSPECTS],
            "bad_series_count": len(self._suspects),
            "sent_bytes": self.sent_bytes,
            **self._counts,
        }

    def spare(self, spare: bool) -> None:
        """See ``Metered``: everything here goes in order, so all of it waits."""

    async def close(self) -> None:
        """Close the connection; nothing is sent any more."""
        await self._transport.close()

    # --- entries to jobs ----------------------------------------------------------------------------------------

    async def _next_job(self, run: Run, at: int, reader: Reader) -> _Job:
        """The unfinished job if it is what comes next, or as many entries as fit into one request. Raises Held."""
        position = Position(run.epoch, run.first + at)
        if self._job is not None and self._job.position == position and len(self._job.ends) <= len(run.entries) - at:
            return self._job
        self._job = None
        if self._spare is None or self._spare[0] != position:
            self._spare = None
            await self._feed.go_to(position, reader)
        job = _Job(position, [], [])
        for number in range(at, len(run.entries)):
            seq = run.first + number
            try:
                if self._spare is None:
                    lines = await self._feed.lines(run.entries[number], run.epoch, seq, reader)
                else:
                    (_, lines), self._spare = self._spare, None
            except Undecodable as error:
                shown = run.entries[number][:_MAX_LINE_SHOWN].decode(errors="replace")
                job.rejected.append(Rejected(seq=seq, line=shown, reason=error.why))
                lines = []
            except Held:
                if not job.ends:
                    raise
                break
            if job.ends and len(job.texts) + len(lines) > MAX_LINES:
                self._spare = Position(run.epoch, seq), lines
                break
            job.texts += lines
            job.ends.append(len(job.texts))
        self._job = job
        return job

    # --- jobs to requests ---------------------------------------------------------------------------------------

    async def _work_off(self, job: _Job) -> bool:
        """Carry a job's plan out; False when pacing stops it for now. Raises SinkError, and goes on there next time."""
        if not job.texts:
            return True
        if job.plan is None:
            job.plan = Splitter(job.texts, min(self._most_lines, MAX_LINES), self._suspects).run()
            job.waiting = next(job.plan)
        while True:
            assert job.waiting is not None
            if job.waiting.paced and not self._take_paced():
                return False
            answer = await self._try(job, job.waiting)
            try:
                job.waiting = job.plan.send(answer)
            except StopIteration as end:
                self._conclude(job, end.value)
                return True

    async def _try(self, job: _Job, what: Try) -> Answer:
        if what.canary:
            body = f"{line.key('gateway', {'site': self._site})} answered=true {self._clock.wall_us()}"
            return await self._say(body)
        texts = job.texts if len(what.lines) == len(job.texts) else [job.texts[index] for index in what.lines]
        answer = await self._say("\n".join(texts), len(texts))
        if answer.ok:
            self._counts["lines"] += len(texts)
            if self._most_lines < MAX_LINES:
                self._most_lines += 1  # slowly: each step too far costs a request
        elif answer.too_large:
            self._most_lines = max(1, (len(texts) + 1) // 2)
        return answer

    def _conclude(self, job: _Job, found: Findings) -> None:
        if found.refuses_everything:
            job.plan = None  # from the beginning, once the server is in its right mind
            raise Unreachable(
                f"{self._transport.where} refuses everything: {found.refuses_everything}",
                hint="is it an InfluxDB that answers there? Nothing was dropped",
            )
        for index, reason in found.refused:
            seq = job.position.seq + bisect_right(job.ends, index)
            job.rejected.append(Rejected(seq=seq, line=job.texts[index], reason=reason))
        self._counts["rejected_lines"] += len(found.refused)
        for name in found.good_series:
            self._suspects.pop(name, None)
        for name in found.bad_series:
            self._suspects.pop(name, None)
            while len(self._suspects) >= MAX_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
            self._suspects[name] = None

    async def _say(self, body: str, lines: int = 1) -> Answer:
        """One request. Raises SinkError for every answer that says nothing about the lines."""
        self._counts["requests"] += 1
        data = body.encode()
        try:
            reply = await self._transport.post(data)
        except SinkError:
            self.sent_bytes += len(data)  # nobody knows how much of it
            raise
        self.sent_bytes += reply.sent or len(data)
        answer = judge(reply, lines, self._transport.where)
        if not answer.ok:
            self._counts["refused_requests"] += 1
        return answer

    # --- pacing and trouble -------------------------------------------------------------------------------------

    def _take_paced(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        self._paced = min(float(PACED_BURST), self._paced + (now_s - self._paced_s) * PACED_PER_S)
        self._paced_s = now_s
        if self._paced < 1.0:
            return False
        self._paced -= 1.0
        return True

    def _raise_owed(self) -> None:
        owed, self._owed = self._owed, None
        if owed is not None:
            raise owed

    def _note(self, error: SinkError) -> None:
        self._state = "not-authorised" if isinstance(error, NotAuthorised) else "unreachable"
        self._why = str(error)


def judge(reply: Reply, lines: int, where: str) -> Answer:
    """What an HTTP answer means for a request of ``lines`` lines: an Answer about the lines, or a SinkError.

    Only 204 is a yes: 200 and redirects come from something that is no InfluxDB. 400 and 422 are about the lines;
    InfluxDB 1.x says ``dropped=<n>`` how many of them it lost. Everything else keeps everything.
    """
    status, words = reply.status, reply.words
    if status == 204:
        return OK
    if status in (400, 422):
        return Answer(False, f"{status} {words}".strip(), all_dropped=_dropped(words) == lines)
    if status == 413:
        return Answer(False, f"413 {words}".strip(), too_large=True)
    said = f"{where} answered {status} {words}".strip()
    if status in (401, 403):
        raise NotAuthorised(said, hint="check user and password, or the token and what it may write")
    if status == 404:
        raise NotAuthorised(said, hint="does the database, or the organisation and bucket, exist there?")
    raise Unreachable(said, retry_after_s=reply.retry_after_s)


def _dropped(words: str) -> int:
    """The number after InfluxDB 1.x's ``dropped=``; 0 if it does not say."""
    if "partial write" not in words:
        return 0
    digits = words.rpartition("dropped=")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0
