"""The words that the layers share: tensors, their specification, a model, and the model that is served now."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]


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
    """

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.datatype}[{sizes}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors a model takes and gives, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Model(Protocol):
    """What the engine makes of a file, and all that the other layers know of it."""

    @property
    def signature(self) -> Signature:
        """The tensors taken and given."""
        ...

    def run(self, inputs: Tensors) -> Tensors:
        """Infer: every input of the signature by name, to every output by name. Safe to call from several threads."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded, warmed-up model together with the name and version it is served under."""

    name: str
    version: str
    model: Model


class ModelSlot:
    """The one place that says which model is served.

    A request reads `current` once and keeps what it got, so that a switch never reaches into requests in flight; the
    old model is freed when the last of them lets go of it.
    """

    def __init__(self) -> None:
        self._current: ServedModel | None = None
        self._reason = "no model is loaded yet"
        self._draining = threading.Event()

    @property
    def current(self) -> ServedModel | None:
        """The model to use for a request that starts now; None while there is none."""
        return self._current

    def switch(self, served: ServedModel) -> None:
        """Serve another model from the next request on."""
        self._current = served

    def explain(self, reason: str) -> None:
        """Say why nothing is served; shown by the readiness probe while that is so."""
        self._reason = reason

    def drain(self) -> None:
        """Report not ready from now on; requests are still answered."""
        self._draining.set()

    @property
    def not_ready_because(self) -> str | None:
        """Why no traffic should come here; None when it should."""
        if self._draining.is_set():
            return "draining: the server is shutting down"
        return None if self._current is not None else self._reason
