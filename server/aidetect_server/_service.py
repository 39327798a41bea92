"""From a request to its answer: known at once, or a shared job that a record points to."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from flask import current_app

from aidetect import ModelInfo, Verdict
from aidetect._protocol import CheckRequest, Outcome
from aidetect_worker._broker import Broker, JobState

from ._bodies import Bodies
from ._metrics import Metrics
from ._records import Record, Records
from ._reports import ReportStore
from ._settings import ServerSettings
from ._waiting import Slots

EXTENSION = "aidetect"
"""Where the application keeps its `Services`."""


@dataclass(frozen=True)
class Look:
    """Where a check stands. `crowded`: whoever asked wanted to wait, and there was no place."""

    record: Record
    state: JobState
    crowded: bool = False


@dataclass(frozen=True)
class Services:
    """What the views of one application share; `services()` finds it."""

    settings: ServerSettings
    broker: Broker
    model: ModelInfo
    """The model of the fleet whose answers these are."""
    records: Records
    bodies: Bodies
    waiters: Slots
    streams: Slots
    metrics: Metrics
    sign: Callable[[Verdict], str | None]
    reports: ReportStore

    def begin(self, request: CheckRequest, key: str, wait: float) -> Look:
        """A new check for `key`, after at most `wait` seconds. Raises QueueFullError where too many
        wait."""
        outcome = None if request.fresh else self.broker.known(request)
        return self.finish(outcome, key) if outcome else self.submit(request, key, wait)

    def submit(self, request: CheckRequest, key: str, wait: float) -> Look:
        """A new check that the caches do not answer, after at most `wait` seconds. Its record is kept
        once, before anybody is told its id."""
        record = Record(key)
        look = _queued(replace(record, job=self.broker.submit(request, record.id)))
        if wait > 0:
            look = self.look(look.record, wait, submitted=True)
        if look.record.outcome is None:
            self.records.save(look.record)
        return look

    def finish(self, outcome: Outcome, key: str) -> Look:
        """A new check whose outcome is known already."""
        return self._finish(Record(key), outcome)

    def begin_many(self, requests: Sequence[CheckRequest], key: str) -> list[Look | None]:
        """New checks in a few round trips together; None in the place of each that finds the queue
        full."""
        outcomes = self.broker.known_many(requests)
        records = [Record(key) for _ in requests]
        asked = [
            (request, record.id)
            for request, record, outcome in zip(requests, records, outcomes, strict=True)
            if outcome is None
        ]
        jobs = iter(self.broker.submit_many(asked) if asked else ())
        found: list[Look | None] = []
        for record, outcome in zip(records, outcomes, strict=True):
            if outcome is not None:
                found.append(self._finish(record, outcome))
            else:
                job = next(jobs)
                look = _queued(replace(record, job=job)) if job else None
                if look is not None:
                    self.records.save(look.record)
                found.append(look)
        return found

    def stamp(self, sha256: str) -> str:
        """What the answer for an image depends on, beside the image."""
        return f"{self.broker.fleet} {self.reports.disputed(sha256) or ''}"

    def look(self, record: Record, wait: float = 0, *, submitted: bool = False) -> Look:
        """Where a check, just `submitted` or not, stands after at most `wait` seconds."""
        if record.outcome is not None or record.job is None:
            return _finished(record)
        with self.waiters.slot(record.key) if wait > 0 else nullcontext(False) as place:
            state = self.broker.wait(record.job, wait if place else 0, submitted=submitted)
        if state.outcome is not None:
            return self._finish(record, state.outcome)
        return Look(record, state, crowded=wait > 0 and not place)

    def leave(self, record: Record) -> None:
        """Forgets a check; its job is cancelled where nobody else asks for it and it has not begun."""
        if record.job is not None and record.outcome is None:
            self.broker.leave(record.job, record.id)
        self.records.delete(record)

    def _finish(self, record: Record, outcome: Outcome) -> Look:
        signature = None
        if outcome.verdict is not None:
            verdict = self.reports.mark(outcome.verdict)
            outcome, signature = Outcome(verdict), self.sign(verdict)
        record = record.finished(outcome, signature)
        self.records.save(record)
        return _finished(record)


def services() -> Services:
    """Those of the application that answers the current request."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def _queued(record: Record) -> Look:
    return Look(record, JobState("queued"))


def _finished(record: Record) -> Look:
    failed = record.outcome is None or record.outcome.verdict is None
    return Look(record, JobState("failed" if failed else "done", outcome=record.outcome))
