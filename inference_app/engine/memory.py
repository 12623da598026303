"""Models in memory, within a budget: the least recently used are unloaded, and loaded again when asked for."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from inference_app.engine.onnx_model import OnnxModel
from inference_app.model import Signature

# What the runtime holds beside the weights (graph, kernels, arena), as a share of the file; measured on conv nets and
# MLPs it is below this.
_OVERHEAD = 1.25


class Resident:
    """A model that may be in memory or not; `model` brings it there.

    Args:
        file: Where it is loaded from, now and whenever it is needed again.
        load: How.
    """

    def __init__(self, file: Path, load: Callable[[Path], OnnxModel]) -> None:
        self.file = file
        self.bytes = int(file.stat().st_size * _OVERHEAD)
        self.last_used = time.monotonic()
        self._load = load
        self._model: OnnxModel | None = load(file)
        self._loading = threading.Lock()
        self.signature: Signature = self._model.signature

    @property
    def is_loaded(self) -> bool:
        """Whether a run can begin at once."""
        return self._model is not None

    def model(self) -> OnnxModel:
        """The model, loaded first if it must be, which takes a while. Safe to call from several threads."""
        self.last_used = time.monotonic()
        model = self._model
        if model is None:
            with self._loading:
                model = self._model
                if model is None:
                    model = self._model = self._load(self.file)
        return model

    def unload(self) -> None:
        """Free the memory, once the runs that go on have ended."""
        self._model = None


class MemoryBudget:
    """Decides which models stay loaded. Safe to call from several threads.

    Args:
        limit: Bytes for all models; 0 for no limit. One model is always let in, however large.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._residents: list[Resident] = []
        self._lock = threading.Lock()

    def admit(self, resident: Resident) -> None:
        """Count a model that was loaded, and unload others that there is no more room for."""
        with self._lock:
            self._residents.append(resident)
            self._make_room(resident)

    def use(self, resident: Resident) -> None:
        """A model is about to run: if that means to load it, make room first."""
        if resident.is_loaded or not self._limit:
            return
        with self._lock:
            self._make_room(resident)

    def forget(self, resident: Resident) -> None:
        """A model is served no more."""
        with self._lock:
            if resident in self._residents:
                self._residents.remove(resident)
        resident.unload()

    def _make_room(self, wanted: Resident) -> None:
        if not self._limit:
            return
        others = sorted(
            (each for each in self._residents if each is not wanted and each.is_loaded), key=lambda each: each.last_used
        )
        total = wanted.bytes + sum(each.bytes for each in others)
        for other in others:
            if total <= self._limit:
                return
            other.unload()
            total -= other.bytes
