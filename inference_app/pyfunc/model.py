"""A model version in a worker process, as the other layers see it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from inference_app.engine.batcher import Batcher, BatchLimits, BatchObserver, Ticket
from inference_app.engine.future import future_of
from inference_app.engine.scheduler import PRIORITIES, FairWorkers
from inference_app.errors import DeadlineExceededError, InvalidRequestError
from inference_app.model import Cancellable, Outcome, RunRecord, Signature, Tensors
from inference_app.pyfunc.keeper import Keeper


@dataclass(frozen=True, slots=True)
class PyfuncSettings:
    """How one model's requests are run.

    Attributes:
        max_batch_size: Rows of one run at most, which says that rows are independent of each other; None where they
            may not be, so that every request is a run of its own.
        batch_timeout: Seconds that a request may wait for company.
        max_enqueued_batches: Full batches that may wait.
    """

    max_batch_size: int | None = None
    batch_timeout: float = 0.0
    max_enqueued_batches: int = 64


class PyfuncModel:
    """One version of a model, with its worker and its queue; see `inference_app.model.Model`.

    It has a thread of its own to wait for the worker in, so that a slow model holds up no other.

    Args:
        keeper: Its worker; started by this.
        settings: How its requests are run.
        observer: Told of every run.

    Raises:
        Exception: the model cannot be loaded.
    """

    quantized = False

    def __init__(self, keeper: Keeper, settings: PyfuncSettings, observer: BatchObserver) -> None:
        self._keeper = keeper
        self._signature = keeper.start()
        self._shares_runs = settings.max_batch_size is not None
        if self._shares_runs and any(spec.shape[:1] != (None,) for spec in self._signature.inputs):
            keeper.hang_up()
            raise ValueError("max_batch_size is set, and its inputs are not made of rows")
        self._has_columns = all(spec.shape == (None,) for spec in self._signature.inputs)
        rows = settings.max_batch_size or 1
        limits = BatchLimits(rows, settings.batch_timeout, rows * settings.max_enqueued_batches)
        self._queue = Batcher(self._run_batch, limits, PRIORITIES["normal"], FairWorkers(1), observer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = 0
        self._is_closing = False

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        return self._signature

    def run(self, inputs: Tensors) -> Tensors:
        """Run at once, while this thread waits; see `Model.run`.

        Raises:
            As `Keeper.run`.
        """
        return self._keeper.run(inputs)

    def start(
        self,
        inputs: Tensors,
        deadline: float | None,
        then: Callable[[Outcome], None],
        runs: list[RunRecord] | None = None,
    ) -> Cancellable:
        """Run in its turn; see `Model.start`. A run that goes on at the deadline is not waited for either."""
        loop = self._loop = asyncio.get_running_loop()
        rows = self._rows(inputs)
        request = _Request(then, self._finished)
        request.ticket = Ticket(inputs, rows, deadline, request.settle, runs)
        self._queue.submit(request.ticket)
        self._under_way += 1
        if deadline is not None:
            request.alarm = loop.call_later(deadline - monotonic(), request.expire)
        return request

    def submit(self, inputs: Tensors, deadline: float | None) -> asyncio.Future[Tensors]:
        """Run, with a future of the outputs; see `Model.submit`."""
        return future_of(lambda then: self.start(inputs, deadline, then))

    def close(self) -> None:
        """Have the worker end; what was accepted is still answered."""
        if self._loop is None:
            self._keeper.hang_up()
            return
        # The loop is closed once the server has stopped, and then no worker is left.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close)

    def _run_batch(self, inputs: Tensors) -> Tensors:
        outputs = self.run(inputs)
        if self._shares_runs:
            rows = self._rows(inputs)
            if any(array.shape[:1] != (rows,) for array in outputs.values()):
                raise InvalidRequestError(f"the model did not give one output for each of {rows} rows")
        return outputs

    def _rows(self, inputs: Tensors) -> int:
        """The rows that a request counts as.

        Raises:
            InvalidRequestError: its inputs have different numbers of rows.
        """
        if not self._shares_runs and not self._has_columns:
            return 1
        rows = {name: array.shape[0] for name, array in inputs.items()}
        if len({*rows.values()}) > 1:
            got = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise InvalidRequestError(f"inputs: expected the same number of rows in each, got {got}")
        return next(iter(rows.values())) if self._shares_runs else 1

    def _finished(self) -> None:
        self._under_way -= 1
        if self._is_closing:
            self._close()

    def _close(self) -> None:
        self._is_closing = True
        if not self._under_way:
            self._keeper.hang_up()


class _Request:
    """One request until it is answered, given up or out of time; for the event loop's thread."""

    def __init__(self, then: Callable[[Outcome], None], finished: Callable[[], None]) -> None:
        self.ticket: Ticket | None = None
        self.alarm: asyncio.TimerHandle | None = None
        self._then = then
        self._finished = finished

    def settle(self, outcome: Outcome) -> None:
        """Give the answer."""
        if self.alarm is not None:
            self.alarm.cancel()
        self._then(outcome)
        self._finished()

    def expire(self) -> None:
        """The deadline has come; whatever the model still gives is for nobody."""
        if self.ticket is not None:
            self.ticket.settle(DeadlineExceededError("the time limit passed before the model had an answer"))

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if self.ticket is not None and not self.ticket.is_settled:
            self.ticket.cancel()
            if self.alarm is not None:
                self.alarm.cancel()
            self._finished()
