"""The words that the layers share: tensors, their specification, a model, a request, and the models served now."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference_app.errors import NotReadyError, UnknownModelError

Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]
Outcome = Tensors | Exception
"""What becomes of a request: every output by name, or why there is none."""


class Datatype(StrEnum):
    """Element types, named as in the Open Inference Protocol (V2)."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type that holds such elements; BYTES are Python strings in an object array."""
        return _DTYPES[self]


_DTYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype(np.uint8),
    Datatype.UINT16: np.dtype(np.uint16),
    Datatype.UINT32: np.dtype(np.uint32),
    Datatype.UINT64: np.dtype(np.uint64),
    Datatype.INT8: np.dtype(np.int8),
    Datatype.INT16: np.dtype(np.int16),
    Datatype.INT32: np.dtype(np.int32),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP16: np.dtype(np.float16),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BYTES: np.dtype(np.object_),
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model takes or gives under one name.

    Attributes:
        name: The tensor's name in the model.
        datatype: Type of its elements.
        shape: Size of each dimension; None where the caller chooses it. The first is the batch.
        labels: What the places of the last dimension mean, where the model says so (ONNX ZipMap); else empty.
    """

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.datatype}[{sizes}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors a model takes and gives, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """An output that a request asks for by name.

    Attributes:
        name: The output's name in the model.
        binary: Whether it is to come as raw bytes (the binary tensor extension); None leaves it to the protocol.
    """

    name: str
    binary: bool | None = None


@dataclass(slots=True)
class InferRequest:
    """One request as the protocols decode it and the engine runs it.

    Attributes:
        inputs: An array for every input of the signature, of its datatype and shape.
        id: The client's own identity of the request, given back in the response; may be empty.
        outputs: The outputs asked for, in order; None for all of the signature's.
        binary: Whether outputs that say nothing themselves come as raw bytes.
        timeout: Seconds in which the client wants the answer; None to wait as long as it takes.
    """

    inputs: dict[str, Tensor]
    id: str = ""
    outputs: tuple[OutputRequest, ...] | None = None
    binary: bool = False
    timeout: float | None = None


class Cancellable(Protocol):
    """Something under way that can be given up."""

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        ...


@dataclass(slots=True)
class RunRecord:
    """A run of a model, for those who want to know when their request was in one.

    Attributes:
        began: On the clock of `time.monotonic`.
        ended: Likewise; None while it goes on.
        rows: Of all requests together that share it.
    """

    began: float
    ended: float | None
    rows: int


class Model(Protocol):
    """What the engine makes of a file, and all that the other layers know of it."""

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        ...

    @property
    def quantized(self) -> bool:
        """Whether this is a variant of reduced precision."""
        ...

    def run(self, inputs: Tensors) -> Tensors:
        """Infer at once, in this thread: every input of the signature by name, to every output by name.

        Raises:
            InvalidRequestError: the model does not take such values.
        """
        ...

    def start(
        self,
        inputs: Tensors,
        deadline: float | None,
        then: Callable[[Outcome], None],
        runs: list[RunRecord] | None = None,
    ) -> Cancellable:
        """Infer, batched with others where that pays. To be called by the event loop's thread only.

        Args:
            inputs: Every input of the signature by name.
            deadline: On the clock of `time.monotonic`; work that has not begun by then is given up.
            then: Called once with the outcome, in the event loop's thread, possibly before this returns.
            runs: Takes the runs that the request has a part in, each from its beginning, if somebody asks.

        Returns:
            What takes the request out of the queue; `then` is not called after that.

        Raises:
            OverloadedError: the model's queue is full.
        """
        ...

    def submit(self, inputs: Tensors, deadline: float | None) -> asyncio.Future[Tensors]:
        """As `start`, with a future of the outputs; cancelling it takes the request out of the queue.

        Raises:
            OverloadedError: the model's queue is full.
        """
        ...

    def close(self) -> None:
        """Free what it holds; requests that were accepted are still answered."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded, warmed-up model together with the name and version it is served under."""

    name: str
    version: str
    model: Model


class ModelSlot:
    """The one place that says which versions of a model are served, and which of them by default.

    A request reads it once and keeps what it got, so that a switch never reaches into requests in flight; an old
    version is freed when the last of them lets go of it. Written by one thread (whoever follows the model's source),
    read by any.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._current: ServedModel | None = None
        self._versions: dict[str, ServedModel] = {}
        self._reason = "no model is loaded yet"
        self._withdrawn = False

    @property
    def current(self) -> ServedModel | None:
        """The version for a request that names none and starts now; None while there is none."""
        return None if self._withdrawn else self._current

    def version(self, version: str) -> ServedModel | None:
        """A certain version; None if it is not served."""
        return None if self._withdrawn else self._versions.get(version)

    @property
    def versions(self) -> tuple[ServedModel, ...]:
        """All that are served."""
        return () if self._withdrawn else tuple(self._versions.values())

    @property
    def is_withdrawn(self) -> bool:
        """Whether somebody has asked for the model not to be served."""
        return self._withdrawn

    def switch(self, served: ServedModel) -> None:
        """Serve a version, and by default from the next request on."""
        self._versions = {**self._versions, served.version: served}
        self._current = served

    def add(self, served: ServedModel) -> None:
        """Serve a version to those who name it."""
        self._versions = {**self._versions, served.version: served}

    def retire(self, version: str) -> None:
        """Serve a version no more; the default one stays."""
        if self._current is None or self._current.version != version:
            self._versions = {name: served for name, served in self._versions.items() if name != version}

    def withdraw(self) -> None:
        """Serve nothing until `offer`, whatever the source says (V2: unload)."""
        self._withdrawn = True

    def offer(self) -> None:
        """Serve again what the source says (V2: load)."""
        self._withdrawn = False

    def explain(self, reason: str) -> None:
        """Say why nothing is served; shown to clients while that is so."""
        self._reason = reason

    @property
    def not_ready_because(self) -> str | None:
        """Why there is no default version; None when there is one."""
        if self._withdrawn:
            return "it was unloaded"
        return None if self._current is not None else self._reason


class Models:
    """Every model that this server is to serve, by name, and whether it is shutting down.

    Args:
        names: The models' names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._slots = {name: ModelSlot(name) for name in names}
        self._draining = threading.Event()

    def __iter__(self) -> Iterator[ModelSlot]:
        return iter(self._slots.values())

    def slot(self, name: str) -> ModelSlot | None:
        """The slot of a model; None if this server is not to serve it."""
        return self._slots.get(name)

    @property
    def only(self) -> ModelSlot | None:
        """The slot of the one model; None where there are several."""
        slots = tuple(self._slots.values())
        return slots[0] if len(slots) == 1 else None

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The version to use for a request that starts now.

        Raises:
            UnknownModelError: this server has no such model, or not that version of it.
            NotReadyError: the model is to be served here, and is not yet.
        """
        slot = self._slots.get(name)
        if slot is None:
            raise UnknownModelError(
                f"no model {name[:128]!r} here; this server has {', '.join(map(repr, self._slots))}"
            )
        if version is None:
            served = slot.current
        else:
            served = slot.version(version)
            if served is None and slot.current is not None:
                known = ", ".join(repr(each.version) for each in slot.versions)
                raise UnknownModelError(f"no version {version[:32]!r} of {name!r} here; served are {known}")
        if served is None:
            raise NotReadyError(f"{name}: {slot.not_ready_because}")
        return served

    def drain(self) -> None:
        """Report not ready from now on; requests are still answered."""
        self._draining.set()

    def is_draining(self) -> bool:
        """Whether the server is shutting down."""
        return self._draining.is_set()

    @property
    def not_ready_because(self) -> str | None:
        """Why no traffic should come here; None when it should: every model is served that was not withdrawn."""
        if self._draining.is_set():
            return "draining: the server is shutting down"
        for slot in self._slots.values():
            if not slot.is_withdrawn and slot.not_ready_because is not None:
                return f"{slot.name}: {slot.not_ready_because}"
        return None
