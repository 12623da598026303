"""Outputs of inputs that came before, by content."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from sys import getsizeof

from inference_app.model import Outcome, Tensor, Tensors


class ResponseCache:
    """Least recently used outputs go first. For one model version, whose outputs depend on its inputs alone.

    Args:
        limit: Bytes of outputs that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._outputs: OrderedDict[bytes, Tensors] = OrderedDict()

    @staticmethod
    def key(inputs: Tensors) -> bytes:
        """What tells inputs apart: a hash of their names, shapes and values."""
        digest = hashlib.blake2b(digest_size=16)
        for name, array in inputs.items():
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes())
        return digest.digest()

    def get(self, key: bytes) -> Tensors | None:
        """The outputs, if they are here."""
        outputs = self._outputs.get(key)
        if outputs is not None:
            self._outputs.move_to_end(key)
        return outputs

    def keeping(self, key: bytes, then: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        """A receiver that keeps what it gets before it hands it on."""

        def receive(outcome: Outcome) -> None:
            if not isinstance(outcome, Exception):
                self._keep(key, outcome)
            then(outcome)

        return receive

    def _keep(self, key: bytes, outputs: Tensors) -> None:
        size = _size(outputs)
        if key in self._outputs or size > self._limit:
            return
        # A view would keep the outputs of all who shared the run.
        self._outputs[key] = {name: array if array.base is None else array.copy() for name, array in outputs.items()}
        self._size += size
        while self._size > self._limit:
            self._size -= _size(self._outputs.popitem(last=False)[1])


def _size(outputs: Tensors) -> int:
    return sum(_array_size(array) + 256 for array in outputs.values())


def _array_size(array: Tensor) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return array.nbytes + sum(map(getsizeof, array.ravel().tolist()))
