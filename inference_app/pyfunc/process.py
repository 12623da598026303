"""One worker process, from its start to its end, as the server sees it."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from inference_app.errors import DeadlineExceededError, InvalidRequestError, NotReadyError, OverloadedError
from inference_app.model import Signature, Tensors
from inference_app.pyfunc.wire import (
    Channel,
    Kind,
    WireError,
    signature_from_wire,
    tensors_from_wire,
    tensors_to_wire,
    text_from_wire,
)

_log = logging.getLogger(__name__)
_PACKAGES = Path(__file__).parents[2]
_LONGEST_LINE = 4000
_START_SECONDS = 300  # to import the model's libraries and read its files
_END_SECONDS = 2  # for a worker that was hung up on; it keeps nothing that has to be saved


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How workers run.

    Attributes:
        python: The interpreter that has MLflow and the models' libraries.
        threads: Threads that one run may compute on, as far as the libraries heed OMP_NUM_THREADS.
        run_seconds: What one run may take.
    """

    python: Path
    threads: int
    run_seconds: float


class WorkerStartError(Exception):
    """The worker did not come up; the message says why."""


class WorkerProcess:
    """A worker with the model of a folder. It ends with the thread that makes this, at the latest.

    It gets nothing of the server's environment but PATH, no open file but its socket, and is in a session of its own.

    Args:
        folder: The model folder.
        settings: How it runs.
        labels: The fields `model` and `version` of its log lines.

    Raises:
        OSError: the interpreter cannot be started.
    """

    def __init__(self, folder: Path, settings: WorkerSettings, labels: dict[str, str]) -> None:
        self._seconds = settings.run_seconds
        self._labels = labels
        self._running = threading.Lock()
        self._reaping = threading.Lock()
        self._ended = threading.Event()
        self._connection, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        *(settings.python, "-s", "-P", "-m", "inference_app.pyfunc.worker"),
                        *(str(theirs.fileno()), str(os.getpid()), folder),
                    ],
                    env=_environment(settings.threads),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                self._connection.close()
                raise
        self._channel = Channel(self._connection)
        threading.Thread(target=self._forward_output, name=f"output-{self._process.pid}", daemon=True).start()

    def await_ready(self) -> Signature:
        """Wait until the model is loaded and warm.

        Raises:
            WorkerStartError: it cannot be loaded; the process is killed.
        """
        try:
            kind, body = self._channel.receive(time.monotonic() + _START_SECONDS)
            if kind is Kind.READY:
                return signature_from_wire(body)
            reason = text_from_wire(body)
        except TimeoutError:
            reason = f"its worker was not ready within {_START_SECONDS} s"
        except WireError:
            reason = "its worker ended while it loaded"
        self.kill()
        raise WorkerStartError(reason)

    def run(self, inputs: Tensors) -> Tensors:
        """Predict; one run at a time.

        Raises:
            InvalidRequestError: the model raised.
            OverloadedError: there was not enough memory.
            DeadlineExceededError: it took too long; the process is killed.
            NotReadyError: the process has ended, or makes no sense and is killed.
        """
        with self._running:
            deadline = time.monotonic() + self._seconds
            try:
                self._channel.send(Kind.RUN, tensors_to_wire(inputs), deadline)
                kind, body = self._channel.receive(deadline)
                if kind is Kind.OUTPUTS:
                    return tensors_from_wire(body)
            except TimeoutError as error:
                _log.error("a run took longer than %g s, the worker is killed", self._seconds, extra=self._labels)
                self.kill()
                raise DeadlineExceededError(f"the model took longer than {self._seconds:g} s") from error
            except WireError as error:
                _log.error("the worker was lost in a run: %s", error, extra=self._labels)
                self.kill()
                raise NotReadyError("the model's worker process ended; it is being restarted") from error
        _log.warning("a run failed: %s", text_from_wire(body), extra=self._labels)
        if kind is Kind.EXHAUSTED:
            raise OverloadedError("there is not enough memory to run this request")
        raise InvalidRequestError("the model cannot compute these values; the server's log says why")

    def wait(self) -> str:
        """Wait for the end and clean up after it; says how it came. To be called once."""
        pid = self._process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            self._kill_group()  # what it started; until it is waited for, the number is nobody else's
            status = self._process.wait()
        self._ended.set()
        with self._running:  # which ends with the process
            self._connection.close()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def hang_up(self) -> None:
        """Have it end, after the run that goes on; do not wait for that."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Have it end, in two seconds at most."""
        self.hang_up()
        if not self._ended.wait(_END_SECONDS):
            self.kill()

    def kill(self) -> None:
        """End it and what it started, now."""
        with self._reaping:
            if self._process.returncode is None:
                self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _forward_output(self) -> None:
        """What it prints goes to the log."""
        if self._process.stdout is None:
            return
        with self._process.stdout as stream:
            while line := stream.readline(_LONGEST_LINE):
                if text := line.decode(errors="replace").rstrip():
                    _log.info("worker: %s", text, extra=self._labels)


def _environment(threads: int) -> dict[str, str]:
    """A worker's whole environment. The server's has credentials, which a model has no use for."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(_PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
