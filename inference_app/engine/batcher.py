"""Dynamic batching: requests that wait for the same model share its next run, whatever their number of rows."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import numpy as np

from inference_app.engine.scheduler import Scheduler
from inference_app.errors import DeadlineExceededError, OverloadedError
from inference_app.model import Outcome, RunRecord, Tensor, Tensors

# So many runs in a row for one request each, and it is taken for granted; it is put to the test again as often.
_ALONE = 16

Shape = tuple[tuple[int, ...], ...]
Run = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How far requests are joined.

    Attributes:
        rows: The most rows of one run; 1 where rows cannot share a run.
        wait: Seconds to wait for others that are probably on their way.
        queued_rows: Rows that may wait; what comes then is refused.
    """

    rows: int
    wait: float
    queued_rows: int


class BatchObserver(Protocol):
    """Who wants to know how requests are joined."""

    def batch(self, rows: int, waits: Sequence[float]) -> None:
        """A run of so many rows begins; each request that leaves the queue for it has waited so many seconds."""
        ...

    def depth(self, rows: int) -> None:
        """So many rows wait now."""
        ...


class Ticket:
    """A request in a queue. It holds the future answer's receiver, and is what a request is cancelled by."""

    __slots__ = (
        "deadline",
        "done",
        "inputs",
        "is_settled",
        "pieces",
        "queue",
        "rows",
        "runs",
        "shape",
        "since",
        "taken",
        "then",
    )

    def __init__(
        self,
        inputs: Tensors,
        rows: int,
        deadline: float | None,
        then: Callable[[Outcome], None],
        runs: list[RunRecord] | None = None,
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.shape: Shape = tuple([array.shape[1:] for array in inputs.values()])
        self.deadline = deadline
        self.then = then
        self.runs = runs  # where somebody wants to know when it runs
        self.since = monotonic()
        self.taken = 0  # rows that have gone into a run
        self.done = 0  # rows that have come out of one
        self.pieces: dict[int, Tensors] = {}  # outputs by first row, of a request that is split
        self.is_settled = False
        self.queue: Batcher | None = None

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if self.is_settled:
            return
        self.is_settled = True
        if self.queue is not None and not self.taken:
            self.queue.leave(self)

    def settle(self, outcome: Outcome) -> None:
        """Give the answer, unless it was given or nobody waits."""
        if not self.is_settled:
            self.is_settled = True
            self.then(outcome)


@dataclass(slots=True)  # frozen ones take three times as long to make
class _Part:
    """Rows `start` to `stop` of a request."""

    request: Ticket
    start: int
    stop: int

    def inputs(self) -> Tensors:
        if self.stop - self.start == self.request.rows:
            return self.request.inputs
        return {name: array[self.start : self.stop] for name, array in self.request.inputs.items()}


class Batcher:
    """The queue of one model. All methods are for the event loop's thread.

    Nothing waits when there is nobody to wait for: a run begins as soon as a worker is free, with all that have come
    by then. While it goes on the next ones gather, so that batches grow with the load and with nothing else.

    Args:
        run: The model; called by worker threads.
        limits: How far requests are joined.
        share: The model's part of the computing time; see `Scheduler`.
        scheduler: Who has the worker threads.
        observer: Told of every run and of waiting.
    """

    def __init__(
        self, run: Run, limits: BatchLimits, share: float, scheduler: Scheduler, observer: BatchObserver
    ) -> None:
        self.share = share
        self.used = 0.0
        self._run = run
        self._limits = limits
        self._scheduler = scheduler
        self._observer = observer
        self._tickets: deque[Ticket] = deque()
        self._rows = 0
        self._left = 0  # cancelled requests that are still among the tickets
        self._company = 1  # requests of the last run: how many are probably on their way again
        self._lone_runs = 0  # in a row, of a single request and with nobody waiting; those at once count too
        self._alarm: asyncio.TimerHandle | None = None

    def is_idle(self) -> bool:
        """Whether a request that comes now may as well run at once: there is no other, nor was there for a while.

        Now and then the answer is no for a request that is alone: only in the queue it can meet others.
        """
        if self._tickets or self._lone_runs < _ALONE:
            return False
        self._lone_runs += 1
        if self._lone_runs == 2 * _ALONE:
            self._lone_runs = _ALONE - 1
        return self._lone_runs >= _ALONE

    def submit(self, ticket: Ticket) -> None:
        """Queue a request.

        Args:
            ticket: Every input of the model, each with the same number of rows, if rows can share a run; else they
                count as one row.

        Raises:
            OverloadedError: too many rows wait already.
        """
        if self._rows and self._rows + ticket.rows > self._limits.queued_rows:
            raise OverloadedError(f"{self._rows} rows wait for this model already")
        ticket.queue = self
        self._tickets.append(ticket)
        self._rows += ticket.rows
        if self._limits.wait and self._rows < self._limits.rows and len(self._tickets) < self._company:
            if self._alarm is None:
                loop = asyncio.get_running_loop()
                self._alarm = loop.call_later(self._limits.wait, self._scheduler.wants, self)
        else:
            self._scheduler.wants(self)

    def leave(self, ticket: Ticket) -> None:
        """A request of which no row was taken yet is cancelled: it makes room at once, and its memory is free."""
        self._rows -= ticket.rows
        ticket.rows = 0
        ticket.inputs = {}
        self._left += 1
        if 2 * self._left > len(self._tickets):  # so each that leaves costs the same, however many wait
            self._tickets = deque(each for each in self._tickets if not each.is_settled)
            self._left = 0
        self._observer.depth(self._rows)

    def take(self) -> Callable[[], Callable[[], None]] | None:
        """The next batch; see `Queue`."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._tickets:
            return None
        parts, watched = self._gather(monotonic())
        self._observer.depth(self._rows)
        if not parts:
            return None
        self._company = len(parts)
        is_lone = self._company == 1 and not self._tickets
        self._lone_runs = min(self._lone_runs + 1, _ALONE) if is_lone else 0
        if watched:
            return lambda: self._work_watched(parts, watched)
        return lambda: self._work(parts)

    def _gather(self, now: float) -> tuple[list[_Part], list[list[RunRecord]]]:
        """The parts of the next batch, and where its run is to be noted."""
        parts: list[_Part] = []
        watched: list[list[RunRecord]] = []
        waits: list[float] = []
        room = self._limits.rows
        passed: list[Ticket] = []  # of another shape than this batch; they keep their place
        while self._tickets and room:
            ticket = self._tickets[0]
            if not self._is_wanted(ticket, now):
                self._tickets.popleft()
                self._rows -= ticket.rows - ticket.taken
                self._left = max(0, self._left - 1)
                continue
            if parts and ticket.shape != parts[0].request.shape:
                passed.append(self._tickets.popleft())
                continue
            if ticket.taken == 0:
                waits.append(now - ticket.since)
            stop = min(ticket.rows, ticket.taken + room)
            parts.append(_Part(ticket, ticket.taken, stop))
            if ticket.runs is not None:
                watched.append(ticket.runs)
            self._rows -= stop - ticket.taken
            room -= stop - ticket.taken
            ticket.taken = stop
            if stop == ticket.rows:
                self._tickets.popleft()
        self._tickets.extendleft(reversed(passed))
        if parts:
            self._observer.batch(self._limits.rows - room, waits)
        return parts, watched

    @staticmethod
    def _is_wanted(ticket: Ticket, now: float) -> bool:
        if ticket.deadline is not None and now > ticket.deadline and ticket.taken == 0:
            ticket.settle(DeadlineExceededError("the time limit passed while the request waited"))
        return not ticket.is_settled

    def _work_watched(self, parts: Sequence[_Part], watched: Sequence[list[RunRecord]]) -> Callable[[], None]:
        run = RunRecord(monotonic(), None, sum(part.stop - part.start for part in parts))
        for runs in watched:
            runs.append(run)
        then = self._work(parts)
        run.ended = monotonic()
        return then

    def _work(self, parts: Sequence[_Part]) -> Callable[[], None]:
        """Run a batch, in whatever thread; if it fails, every part alone, so that only the culprits fail."""
        outcomes: Sequence[Outcome]
        try:
            outcomes = _split(self._run(_join(parts)), parts)
        except Exception as error:
            outcomes = [error] if len(parts) == 1 else [self._alone(part) for part in parts]
        return lambda: _deliver(parts, outcomes)

    def _alone(self, part: _Part) -> Outcome:
        try:
            return self._run(part.inputs())
        except Exception as error:
            return error


def _deliver(parts: Sequence[_Part], outcomes: Sequence[Outcome]) -> None:
    for part, outcome in zip(parts, outcomes, strict=True):
        ticket = part.request
        if isinstance(outcome, Exception) or part.stop - part.start == ticket.rows:
            ticket.settle(outcome)
            continue
        ticket.pieces[part.start] = outcome
        ticket.done += part.stop - part.start
        if ticket.done == ticket.rows:
            ticket.settle(_whole([piece for _, piece in sorted(ticket.pieces.items())]))


def _join(parts: Sequence[_Part]) -> Tensors:
    if len(parts) == 1:
        return parts[0].inputs()
    each = [part.inputs() for part in parts]
    return {name: np.concatenate([inputs[name] for inputs in each]) for name in each[0]}


def _split(outputs: Tensors, parts: Sequence[_Part]) -> list[Tensors]:
    if len(parts) == 1:
        return [outputs]
    rows = sum(part.stop - part.start for part in parts)
    if any(array.shape[0] != rows for array in outputs.values()):
        raise ValueError("the model gave more or fewer rows than it got")  # so nobody knows whose they are
    pieces: list[Tensors] = []
    start = 0
    for part in parts:
        stop = start + part.stop - part.start
        pieces.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return pieces


def _whole(pieces: Sequence[Tensors]) -> Tensors:
    joined: dict[str, Tensor] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return joined
