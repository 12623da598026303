"""A model at work: what the other layers know of the engine."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from inference_app.engine.batcher import Batcher, BatchLimits, BatchObserver, Ticket
from inference_app.engine.cost import LARGEST_BATCH, Cost
from inference_app.engine.future import future_of
from inference_app.engine.memory import MemoryBudget, Resident
from inference_app.engine.response_cache import ResponseCache
from inference_app.engine.scheduler import PRIORITIES, FairWorkers, OnTheSpot
from inference_app.errors import InvalidRequestError, OverloadedError, ServingError
from inference_app.model import Cancellable, Outcome, RunRecord, Signature, Tensors

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How one model's requests are run.

    Attributes:
        max_batch_size: Rows of one run at most; None for what measured best.
        batch_timeout: Seconds that a request may wait for company.
        max_enqueued_batches: Full batches that may wait.
        priority: "high", "normal" or "low".
        response_cache_bytes: Memory for outputs of repeated inputs; 0 for none.
    """

    max_batch_size: int | None = None
    batch_timeout: float = 0.0
    max_enqueued_batches: int = 64
    priority: str = "normal"
    response_cache_bytes: int = 0


class Predictor:
    """One version of a model, with its queue; see `inference_app.model.Model`.

    Args:
        resident: The model, in memory or ready to be loaded again.
        quantized: Whether this is a variant of reduced precision.
        cost: What its runs cost.
        settings: How its requests are run.
        budget: Which models stay in memory.
        workers: Who runs batches that are worth another thread.
        on_the_spot: Who runs the others.
        observer: Told of every run.
    """

    def __init__(  # noqa: PLR0913 - the one place where the engine's parts come together
        self,
        resident: Resident,
        *,
        quantized: bool,
        cost: Cost,
        settings: ServingSettings,
        budget: MemoryBudget,
        workers: FairWorkers,
        on_the_spot: OnTheSpot,
        observer: BatchObserver,
    ) -> None:
        self._resident = resident
        self._quantized = quantized
        self._cost = cost
        self._observer = observer
        self._budget = budget
        rows = min(settings.max_batch_size or cost.best_batch, 65536) if cost.shares_runs else 1
        # What was measured says how rows are best run, not how many may wait: one request may have more than a batch.
        most_rows = (settings.max_batch_size or LARGEST_BATCH) if cost.shares_runs else 1
        limits = BatchLimits(rows, settings.batch_timeout, most_rows * settings.max_enqueued_batches)
        share = PRIORITIES[settings.priority]
        self._queue = Batcher(self._run_in_worker, limits, share, workers, observer)
        small = BatchLimits(min(rows, cost.small_rows), 0.0, limits.queued_rows)
        self._small_queue = Batcher(self.run, small, share, on_the_spot, observer) if small.rows else None
        self._small_rows = small.rows
        self._responses = ResponseCache(settings.response_cache_bytes) if settings.response_cache_bytes else None

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        return self._resident.signature

    @property
    def quantized(self) -> bool:
        """Whether this is a variant of reduced precision."""
        return self._quantized

    def run(self, inputs: Tensors) -> Tensors:
        """Run at once, in this thread; see `Model.run`."""
        try:
            return self._resident.model().run(inputs)
        except Exception as error:
            # The runtime's exceptions share no base. The model did run at warm-up, so it is these values that fail.
            _log.warning("a run failed: %s: %s", type(error).__name__, error)
            if "alloc" in str(error).lower():
                raise OverloadedError("there is not enough memory to run this request") from error
            raise InvalidRequestError("the model cannot compute these values; the server's log says why") from error

    def start(
        self,
        inputs: Tensors,
        deadline: float | None,
        then: Callable[[Outcome], None],
        runs: list[RunRecord] | None = None,
    ) -> Cancellable:
        """Run, batched with others where that pays; see `Model.start`."""
        if self._responses is not None:
            key = self._responses.key(inputs)
            if (known := self._responses.get(key)) is not None:
                then(known)
                return _FINISHED
            then = self._responses.keeping(key, then)
        rows = self._rows(inputs)
        queue = self._queue
        if rows <= self._small_rows and self._small_queue is not None and self._resident.is_loaded:
            queue = self._small_queue
            if runs is None and queue.is_idle():
                self._observer.batch(rows, _NO_WAIT)
                then(self._outcome(inputs))
                return _FINISHED
        ticket = Ticket(inputs, rows, deadline, then, runs)
        queue.submit(ticket)
        return ticket

    def submit(self, inputs: Tensors, deadline: float | None) -> asyncio.Future[Tensors]:
        """Run, with a future of the outputs; see `Model.submit`."""
        return future_of(lambda then: self.start(inputs, deadline, then))

    def close(self) -> None:
        """Free the model; what was accepted is still answered, from a copy that is loaded again."""
        self._budget.forget(self._resident)

    def _run_in_worker(self, inputs: Tensors) -> Tensors:
        self._budget.use(self._resident)
        return self.run(inputs)

    def _outcome(self, inputs: Tensors) -> Outcome:
        try:
            return self.run(inputs)
        except ServingError as error:
            return error

    def _rows(self, inputs: Tensors) -> int:
        return next(iter(inputs.values())).shape[0] if self._cost.shares_runs else 1


class _Finished:
    def cancel(self) -> None:
        """Too late."""


_FINISHED = _Finished()
_NO_WAIT = (0.0,)
