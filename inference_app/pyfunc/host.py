"""All models of this server that run in worker processes."""

import threading
from pathlib import Path
from weakref import WeakSet

from inference_app.engine import EngineObserver
from inference_app.pyfunc.keeper import Keeper
from inference_app.pyfunc.kernel import hide
from inference_app.pyfunc.model import PyfuncModel, PyfuncSettings
from inference_app.pyfunc.process import WorkerSettings


class PyfuncHost:
    """Loads them, and ends their workers with the server.

    Args:
        workers: How workers run.
        observer: Told of every run.

    Raises:
        OSError: the kernel does not keep workers out of this process's memory.
    """

    def __init__(self, workers: WorkerSettings, observer: EngineObserver) -> None:
        hide()
        self._workers = workers
        self._observer = observer
        self._keepers: WeakSet[Keeper] = WeakSet()  # a keeper's own thread holds it for as long as it works
        self._lock = threading.Lock()

    def load(self, folder: Path, name: str, version: str, settings: PyfuncSettings) -> PyfuncModel:
        """Load a model in a worker of its own, warmed up on its input example. Takes seconds; for any thread.

        Args:
            folder: The model folder, verified.
            name: What it is served under.
            version: Likewise.
            settings: How its requests are run.

        Raises:
            WorkerStartError: it cannot be loaded; says why.
            OSError: the interpreter cannot be started.
            ValueError: the settings want rows to share a run, and its inputs are not made of rows.
        """
        keeper = Keeper(folder, self._workers, name, version)
        with self._lock:
            self._keepers.add(keeper)
        return PyfuncModel(keeper, settings, self._observer.batches(name, version))

    def close(self) -> None:
        """End every worker, in about two seconds at most."""
        with self._lock:
            keepers = list(self._keepers)
        for keeper in keepers:
            keeper.hang_up()
        for keeper in keepers:
            keeper.stop()
