"""A model's answer as a future."""

import asyncio
from collections.abc import Callable

from inference_app.model import Cancellable, Outcome, Tensors


def future_of(start: Callable[[Callable[[Outcome], None]], Cancellable]) -> asyncio.Future[Tensors]:
    """Start a request and give a future of its outputs; cancelling that gives the request up.

    Args:
        start: Starts it, given the receiver of its outcome.
    """
    answer: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()

    def settle(outcome: Outcome) -> None:
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    request = start(settle)
    answer.add_done_callback(lambda answer: request.cancel() if answer.cancelled() else None)
    return answer
