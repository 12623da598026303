"""Loads models and shares the machine between them."""

from pathlib import Path
from typing import Protocol

from inference_app.engine.batcher import BatchObserver
from inference_app.engine.cost import measure
from inference_app.engine.memory import MemoryBudget, Resident
from inference_app.engine.onnx_model import OnnxModel, SessionSettings
from inference_app.engine.predictor import Predictor, ServingSettings
from inference_app.engine.scheduler import FairWorkers, OnTheSpot


class EngineObserver(Protocol):
    """Who wants to know what the engine does."""

    def batches(self, name: str, version: str) -> BatchObserver:
        """Who is told of the runs of a model version."""
        ...


class Engine:
    """What runs all models of this server.

    Args:
        session: How each model runs.
        slots: Batches that run at the same time.
        memory_budget: Bytes for loaded models; 0 for no limit.
        observer: Told of every run.
    """

    def __init__(self, session: SessionSettings, slots: int, memory_budget: int, observer: EngineObserver) -> None:
        self._session = session
        self._budget = MemoryBudget(memory_budget)
        self._workers = FairWorkers(slots)
        self._on_the_spot = OnTheSpot()
        self._observer = observer

    def load(self, file: Path, name: str, version: str, settings: ServingSettings) -> Predictor:
        """Load a model, warm it up and measure it. Takes a while; safe to call from any thread.

        Args:
            file: `model.onnx`, or `model.<variant>.onnx` for one of reduced precision.
            name: What it is served under.
            version: Likewise.
            settings: How its requests are run.

        Raises:
            Exception: the runtime's own, where the file is not a model that it can run.
            ValueError: the model has tensors of a type that this server does not take.
        """
        resident = Resident(file, lambda file: OnnxModel(file, self._session))
        cost = measure(resident.model())
        self._budget.admit(resident)
        return Predictor(
            resident,
            quantized=file.name.count(".") > 1,
            cost=cost,
            settings=settings,
            budget=self._budget,
            workers=self._workers,
            on_the_spot=self._on_the_spot,
            observer=self._observer.batches(name, version),
        )

    def close(self) -> None:
        """Finish what runs, start nothing more."""
        self._workers.close()
