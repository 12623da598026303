"""Put load on a server: wrk over HTTP, a small program over gRPC, the runtime's own loop without any server."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving import processes, protocols
from benchmarks.serving.instance import BenchError, Instance
from benchmarks.serving.models import BenchModel
from benchmarks.serving.processes import Cores
from benchmarks.serving.protocols import Outputs, Protocol
from benchmarks.serving.works import Work

_HERE = Path(__file__).parent
_SPARE_SECONDS = 60  # for a client to start and for the last answers to come
_ANSWER_SECONDS = 30
_QUESTIONS = 16  # different ones, asked in turns


@dataclass(frozen=True)
class Load:
    """What came of some seconds of load: answered requests, all of them well."""

    requests: int
    seconds: float
    p99: float


@dataclass(frozen=True)
class LoopRun:
    """What came of some seconds of the bare loop."""

    runs: int
    seconds: float
    cpu: float


class Client:
    """Asks one work's questions of whichever server.

    Args:
        work: What is asked, and by how many.
        model: What it is asked about.
        folder: Where requests are written to.
        cores: Where clients compute.
        grpc_programs: The gRPC client's environment.
    """

    def __init__(self, work: Work, model: BenchModel, folder: Path, cores: Cores, grpc_programs: Path) -> None:
        self._work = work
        self._model = model
        self._cores = cores
        self._folder = folder
        self._grpc_python = grpc_programs / "python"
        count = min(_QUESTIONS, len(model.rows) // work.rows)
        self._questions = np.split(model.rows[: count * work.rows], count)
        self._expected = [model.expected(rows) for rows in self._questions]

    def check(self, instance: Instance) -> None:
        """Ask every question, all at the same time, and compare the answers with what the runtime itself gives.

        Raises:
            BenchError: one is something else.
        """
        protocol = instance.server.protocol(self._work.protocol)
        if protocol is Protocol.V2_GRPC:
            answers = self._grpc(instance, 0)["outputs"]
        else:
            with ThreadPoolExecutor(len(self._questions)) as pool:
                answers = list(pool.map(partial(self._ask, instance, protocol), self._questions))
        if not instance.server.computes:
            return
        for outputs, expected in zip(answers, self._expected, strict=True):
            if wrong := protocols.difference(outputs, expected):
                raise BenchError(wrong)

    def load(self, instance: Instance, seconds: int) -> Load:
        """Ask for some seconds, with all connections.

        Raises:
            BenchError: requests failed.
        """
        protocol = instance.server.protocol(self._work.protocol)
        said = self._grpc(instance, seconds) if protocol is Protocol.V2_GRPC else self._wrk(instance, seconds)
        if said["failed"] or not said["requests"]:
            raise BenchError(f"{said['failed']} failed, {said['requests']} answered under load")
        return Load(said["requests"], said["seconds"], said["p99"])

    def loop(self, seconds: int) -> LoopRun:
        """The runtime alone, in the servers' place."""
        rows = np.resize(self._model.rows, (self._work.loop_batch, *self._model.rows.shape[1:]))
        file = self._folder / f"{self._work.name}-loop.npy"
        np.save(file, rows)
        command = [str(_HERE / "loop.py"), str(self._model.file), self._model.input_name, str(file), str(seconds)]
        return LoopRun(**_said([sys.executable, *command], self._cores.server, seconds))

    def _ask(self, instance: Instance, protocol: Protocol, rows: NDArray[np.float32]) -> Outputs:
        body, headers = instance.post(self._path(instance), protocols.encode(protocol, self._model, rows))
        return protocols.decode(protocol, body, headers, list(self._expected[0])) if instance.server.computes else {}

    def _wrk(self, instance: Instance, seconds: int) -> dict[str, Any]:
        protocol = instance.server.protocol(self._work.protocol)
        requests = [protocols.encode(protocol, self._model, rows) for rows in self._questions]
        folder = self._folder / f"{self._work.name}-{protocol.name}"
        folder.mkdir(exist_ok=True)
        for number, request in enumerate(requests):
            (folder / str(number)).write_bytes(request.body)
        command = [
            "wrk",
            "--threads=1",
            f"--connections={self._work.connections}",
            f"--duration={seconds}s",
            f"--timeout={_ANSWER_SECONDS}s",
            f"--script={_HERE / 'wrk.lua'}",
            f"http://127.0.0.1:{instance.port}{self._path(instance)}",
            "--",
            str(len(requests)),
            str(folder),
            # The same for all: they are of one shape.
            *(f"{name}: {value}" for name, value in requests[0].headers.items()),
        ]
        return _said(command, self._cores.client, seconds)

    def _grpc(self, instance: Instance, seconds: int) -> dict[str, Any]:
        file = self._folder / f"{self._work.name}.npy"
        np.save(file, np.stack(self._questions))
        command = [
            str(self._grpc_python),
            str(_HERE / "grpc_client.py"),
            f"127.0.0.1:{instance.grpc_port}",
            self._model.name,
            self._model.input_name,
            str(file),
            f"{self._work.connections}x{seconds}",
        ]
        return _said(command, self._cores.client, seconds)

    def _path(self, instance: Instance) -> str:
        protocol = instance.server.protocol(self._work.protocol)
        return instance.server.routes[protocol].replace("$model", self._model.name)


def _said(command: list[str], core: int, seconds: int) -> dict[str, Any]:
    try:
        return json.loads(processes.run(command, core, seconds + _SPARE_SECONDS).strip().splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the client failed: {str(error.output).strip()[-600:]}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"no end of the load after {error.timeout:.0f} s") from error
