"""One server that serves one model: started, checked, and ready to be measured."""

import http.client
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template
from tempfile import mkdtemp

from benchmarks.serving.models import BenchModel
from benchmarks.serving.processes import Process
from benchmarks.serving.protocols import HttpRequest
from benchmarks.serving.servers import Server
from tools.places import REPOSITORY

_PEERS = Path(__file__).with_name("peers")
_START_SECONDS = 60
_ANSWER_SECONDS = 30
_WAIT_MS = 1  # for a batch to fill; more clients than go into a batch are waiting anyway


class BenchError(Exception):
    """A server could not be measured: it did not install, start, or answer as it should."""


@dataclass(frozen=True)
class Serving:
    """What a server is started with.

    Attributes:
        model: What it serves.
        max_batch: The most requests that it runs at once, for servers that are told; 1 turns batching off.
        programs: Its environment's programs.
    """

    model: BenchModel
    max_batch: int
    programs: Path


@dataclass(frozen=True)
class Instance:
    """A running server.

    Attributes:
        server: What runs.
        process: Its process.
        port: Where it takes HTTP.
        grpc_port: Where it takes gRPC, if it does.
    """

    server: Server
    process: Process
    port: int
    grpc_port: int

    def post(self, path: str, request: HttpRequest) -> tuple[bytes, dict[str, str]]:
        """Post once; the answer's body and its headers by their names in small letters.

        Raises:
            BenchError: it was not answered with 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("POST", path, request.body, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise BenchError(f"no answer to POST {path}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise BenchError(f"POST {path} got {answer.status}: {body[:300].decode(errors='replace')}")
        return body, {name.lower(): value for name, value in answer.getheaders()}


def start(server: Server, serving: Serving, folder: Path, core: int) -> Instance:
    """Start a server and wait until it is ready.

    Args:
        server: What to start.
        serving: What it serves, and how.
        folder: Where it gets a working folder of its own.
        core: Where it computes.

    Raises:
        BenchError: it ended, or was not ready in time.
    """
    model, max_batch = serving.model, serving.max_batch
    work = Path(mkdtemp(prefix=f"{server.name}-", dir=folder))
    port, grpc_port, other_port = _free_ports(3)
    batching = max_batch > 1
    values = {
        "bin": serving.programs,
        "file": model.file,
        "folder": work,
        "grpc_port": grpc_port,
        "max_batch": max_batch,
        "max_wait_seconds": _WAIT_MS / 1000 if batching else 0,
        "model": model.name,
        "model_folder": model.folder,
        "other_port": other_port,
        "peers": _PEERS,
        "port": port,
        "repository": REPOSITORY,
    }

    def fill(text: str) -> str:
        return Template(text).substitute(values)

    for name, text in server.files.items():
        (work / name).write_text(fill(text), encoding="utf-8")
    environment = {
        "PATH": f"{serving.programs}:{os.environ['PATH']}",
        "HOME": str(work),
        "TMPDIR": str(work),
        "PYTHONPATH": str(_PEERS),
        "ORT_DISABLE_TELEMETRY": "1",
        "BENCH_MODEL": model.name,
        "BENCH_FILE": str(model.file),
        "BENCH_PORT": str(port),
        "BENCH_GRPC_PORT": str(grpc_port),
        "BENCH_MAX_BATCH": str(max_batch),
        "BENCH_MAX_WAIT_MS": str(_WAIT_MS if batching else 0),
        **{name: fill(value) for name, value in server.variables.items()},
    }
    process = Process([fill(word) for word in server.command], environment, work, core)
    instance = Instance(server, process, port, grpc_port)
    try:
        _await_ready(instance)
    except BaseException:
        process.end()
        raise
    return instance


def _await_ready(instance: Instance) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(instance):
        if instance.process.has_ended:
            raise BenchError(f"did not start:\n{instance.process.last_words}")
        if time.monotonic() > deadline:
            raise BenchError(f"was not ready within {_START_SECONDS} s:\n{instance.process.last_words}")
        time.sleep(0.1)


def _is_ready(instance: Instance) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=5)
    try:
        connection.request("GET", instance.server.ready)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [int(held.getsockname()[1]) for held in sockets]
    finally:
        for held in sockets:
            held.close()
