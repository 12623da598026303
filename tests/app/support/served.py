"""Models as the protocols see them, without a runtime."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from inference_app.model import Cancellable, Datatype, Outcome, RunRecord, ServedModel, Signature, Tensors, TensorSpec


class EchoModel:
    """Gives its inputs back, each under the name of the output in the same place.

    Attributes:
        held: Whether requests wait until `release`.
        waiting: What to call for each request that waits.
        fails_with: What becomes of requests instead.
        deadlines: Of every request so far.
        cancelled: How many requests were.
    """

    quantized = False

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.held = False
        self.waiting: list[Callable[[], None]] = []
        self.fails_with: Exception | None = None
        self.deadlines: list[float | None] = []
        self.cancelled = 0

    def run(self, inputs: Tensors) -> Tensors:
        return {
            output.name: inputs[spec.name]
            for spec, output in zip(self.signature.inputs, self.signature.outputs, strict=True)
        }

    def start(
        self,
        inputs: Tensors,
        deadline: float | None,
        then: Callable[[Outcome], None],
        runs: list[RunRecord] | None = None,  # noqa: ARG002 - an echo has none
    ) -> Cancellable:
        self.deadlines.append(deadline)

        def finish() -> None:
            then(self.fails_with or self.run(inputs))

        if self.held:
            self.waiting.append(finish)
        else:
            finish()
        return _Ticket(self, finish)

    def submit(self, inputs: Tensors, deadline: float | None) -> asyncio.Future[Tensors]:
        future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        ticket = self.start(inputs, deadline, settle)
        future.add_done_callback(lambda done: ticket.cancel() if done.cancelled() else None)
        return future

    def release(self) -> None:
        """Answer whoever waits."""
        for finish in self.waiting:
            finish()
        self.waiting.clear()

    def close(self) -> None:
        """Has nothing to free."""


class _Ticket:
    def __init__(self, model: EchoModel, finish: Callable[[], None]) -> None:
        self._model = model
        self._finish = finish

    def cancel(self) -> None:
        with suppress(ValueError):
            self._model.waiting.remove(self._finish)
        self._model.cancelled += 1


def spec(datatype: Datatype, *shape: int | None, name: str = "input", labels: tuple[str, ...] = ()) -> TensorSpec:
    return TensorSpec(name, datatype, shape, labels)


def serving(signature: Signature, version: str = "7") -> ServedModel:
    return ServedModel("demo", version, EchoModel(signature))
