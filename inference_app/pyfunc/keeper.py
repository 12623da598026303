"""Keeps the worker of a model version alive."""

import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from inference_app.errors import NotReadyError
from inference_app.model import Signature, Tensors
from inference_app.pyfunc.process import WorkerProcess, WorkerSettings, WorkerStartError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0


class Keeper:
    """One thread that starts a worker, waits for its end and starts the next, until it is told to stop.

    The kernel ends a worker with the thread that started it, so that thread lasts as long as the model does. Pauses
    between starts double up to a minute; a worker that lasted longer than that begins anew.

    Args:
        folder: The model folder.
        settings: How workers run.
        name: What the model is served under.
        version: Likewise.
    """

    def __init__(self, folder: Path, settings: WorkerSettings, name: str, version: str) -> None:
        self._folder = folder
        self._settings = settings
        self._labels = {"model": name, "version": version}
        self._started: WorkerProcess | None = None
        self._ready: WorkerProcess | None = None
        self._signature: Future[Signature] = Future()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{name}-{version}", daemon=True)

    def start(self) -> Signature:
        """Start the first worker; returns once the model is loaded and warm.

        Raises:
            WorkerStartError: it cannot be loaded.
            OSError: the interpreter cannot be started.
        """
        self._thread.start()
        return self._signature.result()

    def run(self, inputs: Tensors) -> Tensors:
        """Predict, in this thread; raises as `WorkerProcess.run` does, and where there is no worker at the moment."""
        worker = self._ready
        if worker is None:
            raise NotReadyError("the model's worker process ended; it is being restarted")
        return worker.run(inputs)

    def hang_up(self) -> None:
        """Let the worker end after the run that goes on, and start none after it. May be called by any thread."""
        with self._starting:
            self._stopping.set()
            if self._started is not None:
                self._started.hang_up()

    def stop(self) -> None:
        """As `hang_up`, and wait for the worker's end, two seconds at most."""
        self.hang_up()
        if self._started is not None:
            self._started.end()

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                how = self._run_one()
            except (OSError, WorkerStartError) as error:
                if not self._signature.done():
                    self._signature.set_exception(error)
                    return
                how = f"it did not start: {error}"
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                failures = 0
            pause = min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
            failures += 1
            _log.error("the worker ended (%s), the next one starts in %g s", how, pause, extra=self._labels)
            self._stopping.wait(pause)

    def _run_one(self) -> str:
        """One worker from start to end; says how it ended."""
        with self._starting:
            if self._stopping.is_set():
                raise WorkerStartError("it is no longer wanted")
            worker = self._started = WorkerProcess(self._folder, self._settings, self._labels)
        try:
            signature = worker.await_ready()
            if not self._signature.done():
                self._signature.set_result(signature)
            self._ready = worker
        finally:
            how = worker.wait()
            self._ready = None
        return how
