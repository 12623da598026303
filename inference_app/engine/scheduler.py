"""Which model's batch runs next, when there are more batches than threads to run them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

PRIORITIES = {"high": 16.0, "normal": 4.0, "low": 1.0}
"""Shares of computing time between the classes while all of them have work."""


class Queue(Protocol):
    """Somebody who has batches to run.

    Attributes:
        share: Its part of the computing time while others want some too.
        used: Computing time it has had, divided by its share; the scheduler's own notebook.
    """

    share: float
    used: float

    def take(self) -> Callable[[], Callable[[], None]] | None:
        """The next batch, as what a worker thread is to do; that returns what the event loop is to do then.

        None if nothing is to be done any more.
        """
        ...


class Scheduler(Protocol):
    """Who gives queues their turn. All methods are for the event loop's thread."""

    def wants(self, queue: Queue) -> None:
        """A queue has work."""
        ...


class OnTheSpot:
    """Runs batches in the event loop's own thread, at the end of its turn: for runs cheaper than a thread's wake-up.

    What lies in the sockets of the same turn shares a run.
    """

    def __init__(self) -> None:
        self._waiting: list[Queue] = []

    def wants(self, queue: Queue) -> None:
        """A queue has work; see `Scheduler`."""
        if queue in self._waiting:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run_all)
        self._waiting.append(queue)

    def _run_all(self) -> None:
        queues, self._waiting = self._waiting, []
        for queue in queues:
            while (work := queue.take()) is not None:
                work()()


class FairWorkers:
    """Shares worker threads between queues by weighted fair queueing: who has used least of its share is next.

    All methods are for the event loop's thread.

    Args:
        slots: Batches that run at the same time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._workers = ThreadPoolExecutor(slots, thread_name_prefix="inference")
        self._waiting: list[Queue] = []
        self._now = 0.0
        self._is_pumping = False

    def wants(self, queue: Queue) -> None:
        """A queue has work."""
        if queue in self._waiting:
            return
        # Time not used while there was nothing to do is not saved up.
        queue.used = max(queue.used, self._now)
        self._waiting.append(queue)
        self._pump_soon()

    def close(self) -> None:
        """Finish what runs, start nothing more."""
        self._workers.shutdown()

    def _pump_soon(self) -> None:
        # Not at once: requests that lie in other sockets of this turn of the loop are still to join the batch.
        if not self._is_pumping and self._free:
            self._is_pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        while self._free and self._waiting:
            queue = min(self._waiting, key=lambda queue: queue.used)
            work = queue.take()
            if work is None:
                self._waiting.remove(queue)
                continue
            self._now = queue.used
            self._free -= 1
            self._workers.submit(self._run, queue, work, asyncio.get_running_loop())

    def _run(self, queue: Queue, work: Callable[[], Callable[[], None]], loop: asyncio.AbstractEventLoop) -> None:
        began = loop.time()
        then = work()
        loop.call_soon_threadsafe(self._done, queue, loop.time() - began, then)

    def _done(self, queue: Queue, seconds: float, then: Callable[[], None]) -> None:
        self._free += 1
        queue.used += seconds / queue.share
        then()
        if self._waiting:
            self._pump_soon()
