"""Dynamic batching: who shares a run, who waits, who fails."""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_app.engine.batcher import Batcher, BatchLimits, Ticket
from inference_app.engine.scheduler import FairWorkers, OnTheSpot, Scheduler
from inference_app.errors import DeadlineExceededError, InvalidRequestError, OverloadedError
from inference_app.model import Outcome, RunRecord, Tensors


class Runs:
    """A model that doubles numbers and refuses 13; it can be held in the middle of a run."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.waits: list[float] = []
        self.going = threading.Event()
        self.going.set()
        self.begun = threading.Event()

    def __call__(self, inputs: Tensors) -> Tensors:
        self.begun.set()
        assert self.going.wait(10)
        if 13 in inputs["x"]:
            raise InvalidRequestError("not 13")
        return {"y": inputs["x"] * 2}

    def batch(self, rows: int, waits: Sequence[float]) -> None:
        self.rows.append(rows)
        self.waits += waits

    def depth(self, rows: int) -> None:
        self.waiting = rows


class Client:
    """Collects outcomes."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self.pending: list[asyncio.Future[Outcome]] = []

    def ask(
        self, *values: float, deadline: float | None = None, width: int = 1, runs: list[RunRecord] | None = None
    ) -> Ticket:
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        array = np.repeat(np.array(values, dtype=np.float32).reshape(-1, 1), width, axis=1)
        ticket = Ticket({"x": array}, len(values), deadline, answer.set_result, runs)
        self._batcher.submit(ticket)
        self.pending.append(answer)
        return ticket

    async def answers(self) -> list[list[float] | Exception]:
        outcomes = await asyncio.wait_for(asyncio.gather(*self.pending), 10)
        return [each if isinstance(each, Exception) else each["y"][:, 0].tolist() for each in outcomes]


def _limits(rows: int = 8, wait: float = 0.0, queued: int = 1000) -> BatchLimits:
    return BatchLimits(rows, wait, queued)


@pytest.fixture(params=[OnTheSpot, lambda: FairWorkers(1)], ids=["on the spot", "workers"])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    make: Callable[[], Scheduler] = request.param
    return make()


async def test_what_comes_together_runs_together(scheduler: Scheduler) -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, scheduler, runs))
    client.ask(1)
    client.ask(2, 3)
    client.ask(4)
    assert await client.answers() == [[2], [4, 6], [8]]
    assert runs.rows == [4]
    assert len(runs.waits) == 3


async def test_a_large_request_is_split_and_its_rest_shares_a_run(scheduler: Scheduler) -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(rows=4), 1, scheduler, runs))
    client.ask(*range(9))
    client.ask(50, 51)
    assert await client.answers() == [[2 * value for value in range(9)], [100, 102]]
    assert runs.rows == [4, 4, 3]


async def test_runs_are_noted_for_those_who_ask(scheduler: Scheduler) -> None:
    runs = Runs()
    batcher = Batcher(runs, _limits(rows=4), 1, scheduler, runs)
    client = Client(batcher)
    large: list[RunRecord] = []
    small: list[RunRecord] = []
    began = time.monotonic()
    client.ask(*range(6), runs=large)
    client.ask(7)
    client.ask(8, runs=small)
    await client.answers()
    first, second = large
    assert (first.rows, second.rows) == (4, 4)
    assert small == [second]
    assert first.ended is not None
    assert second.ended is not None
    assert began <= first.began <= first.ended <= second.began <= second.ended <= time.monotonic()


async def test_other_shapes_run_apart_and_keep_their_place(scheduler: Scheduler) -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, scheduler, runs))
    client.ask(1)
    client.ask(2, width=2)
    client.ask(3)
    assert await client.answers() == [[2], [4], [6]]
    assert runs.rows == [2, 1]


async def test_only_the_culprit_fails(scheduler: Scheduler) -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, scheduler, runs))
    for value in (1, 13, 3):
        client.ask(value)
    first, culprit, last = await client.answers()
    assert (first, last) == ([2], [6])
    assert isinstance(culprit, InvalidRequestError)


async def test_a_failing_part_fails_its_whole_request_once() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(rows=2), 1, OnTheSpot(), runs))
    client.ask(1, 13, 13, 4)
    [outcome] = await client.answers()
    assert isinstance(outcome, InvalidRequestError)


async def test_while_one_batch_runs_the_next_gathers() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, FairWorkers(1), runs))
    runs.going.clear()
    client.ask(1)
    await asyncio.to_thread(runs.begun.wait, 10)
    for value in (2, 3, 4):
        client.ask(value)
        await asyncio.sleep(0)
    runs.going.set()
    assert await client.answers() == [[2], [4], [6], [8]]
    assert runs.rows == [1, 3]


async def test_cancelled_requests_leave_the_queue() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, FairWorkers(1), runs))
    runs.going.clear()
    client.ask(1)
    await asyncio.to_thread(runs.begun.wait, 10)
    client.ask(2).cancel()
    gone = client.pending.pop()
    client.ask(3)
    runs.going.set()
    assert await client.answers() == [[2], [6]]
    assert runs.rows == [1, 1]
    assert not gone.done()


async def test_cancelled_requests_make_room_and_free_their_memory_at_once() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(queued=3), 1, FairWorkers(1), runs))
    runs.going.clear()
    client.ask(1)
    await asyncio.to_thread(runs.begun.wait, 10)
    for _ in range(50):
        tickets = [client.ask(2), client.ask(3, 4)]
        inputs = [weakref.ref(each.inputs["x"]) for each in tickets]
        for ticket in (*tickets, *tickets):
            ticket.cancel()
        assert [each() for each in inputs] == [None, None]
        del client.pending[1:]
    assert runs.waiting == 0
    client.ask(5, 6, 7)
    with pytest.raises(OverloadedError):
        client.ask(8)
    runs.going.set()
    assert await client.answers() == [[2], [10, 12, 14]]
    assert runs.rows == [1, 3]


async def test_outputs_that_do_not_belong_to_rows_are_never_mixed_up() -> None:
    class Uneven(Runs):
        def __call__(self, inputs: Tensors) -> Tensors:
            return {"y": inputs["x"][inputs["x"][:, 0] > 0]}

    runs = Uneven()
    client = Client(Batcher(runs, _limits(), 1, OnTheSpot(), runs))
    for value in (-1, 2, 3):
        client.ask(value)
    assert await client.answers() == [[], [2], [3]]


async def test_a_passed_deadline_is_told_and_not_run() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(), 1, OnTheSpot(), runs))
    client.ask(1, deadline=0.0)
    client.ask(2)
    late, other = await client.answers()
    assert isinstance(late, DeadlineExceededError)
    assert other == [4]
    assert runs.rows == [1]


async def test_a_full_queue_refuses() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(queued=3), 1, FairWorkers(1), runs))
    runs.going.clear()
    client.ask(1)
    await asyncio.to_thread(runs.begun.wait, 10)
    client.ask(2, 3)
    with pytest.raises(OverloadedError):
        client.ask(4, 5)
    runs.going.set()
    await client.answers()
    client.ask(*range(100, 200))  # alone in the queue it is taken, whatever its size
    assert len((await client.answers())[-1]) == 100  # pyright: ignore[reportArgumentType] - it is a list


async def test_a_lone_client_does_not_wait_for_company() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(wait=60.0), 1, OnTheSpot(), runs))
    for value in range(3):
        client.ask(value)
        await client.answers()
    assert runs.rows == [1, 1, 1]


async def test_those_who_have_had_company_wait_for_it_in_bounds() -> None:
    runs = Runs()
    client = Client(Batcher(runs, _limits(wait=0.05), 1, OnTheSpot(), runs))
    client.ask(1)
    client.ask(2)
    await client.answers()
    client.ask(3)
    await asyncio.sleep(0)
    assert runs.rows == [2]
    client.ask(4)
    await client.answers()
    assert runs.rows == [2, 2]


@settings(deadline=None, max_examples=60)
@given(
    requests=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=12), min_size=1, max_size=20),
    rows=st.integers(1, 8),
)
def test_everyone_gets_exactly_their_own_rows(requests: list[list[int]], rows: int) -> None:
    async def ask() -> list[list[float] | Exception]:
        client = Client(Batcher(Runs(), _limits(rows=rows), 1, OnTheSpot(), Runs()))
        for values in requests:
            client.ask(*values)
        return await client.answers()

    for values, answer in zip(requests, asyncio.run(ask()), strict=True):
        if 13 in values:
            assert isinstance(answer, InvalidRequestError)
        else:
            assert answer == [2 * value for value in values]


async def test_work_is_shared_by_priority() -> None:
    order: list[str] = []
    workers = FairWorkers(1)

    class Named(Runs):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def __call__(self, inputs: Tensors) -> Tensors:
            order.append(self.name)
            threading.Event().wait(0.002)  # what computing costs
            return super().__call__(inputs)

    clients = {
        name: Client(Batcher(run := Named(name), _limits(rows=1), share, workers, run))
        for name, share in (("high", 16.0), ("low", 1.0))
    }
    for _ in range(30):
        for client in clients.values():
            client.ask(1)
    for client in clients.values():
        await client.answers()
    first = order[:30]
    assert first.count("high") > 4 * first.count("low") > 0
