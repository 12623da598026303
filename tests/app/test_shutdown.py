"""SIGTERM: no new traffic, what is in flight is finished, exit 0."""

import socket
from pathlib import Path
from typing import cast

import pytest

from inference_app.model import Model, Models, ServedModel
from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer

_BODY = b'{"instances": [[1, 2, 3]]}'
_HEAD = b"POST /v1/models/demo:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(_BODY)


def test_a_request_in_flight_is_finished(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        address = (server.http.base_url.host, server.http.base_url.port or 80)
        with socket.create_connection(address, timeout=10) as client:
            client.sendall(_HEAD + _BODY[:5])
            server.http.get("/healthz")  # its answer shows that the loop has seen what was sent before
            server.process.terminate()
            eventually(lambda: not _accepts(address), "the listener to close")
            client.sendall(_BODY[5:])
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'{"predictions":[[2.0,4.0,6.0]]}' in answer
        assert server.process.wait() == 0


def test_draining_is_not_ready() -> None:
    served = Models(["demo"])
    slot = served.slot("demo")
    assert slot is not None
    slot.explain("still loading")
    assert served.not_ready_because == "demo: still loading"
    slot.switch(ServedModel("demo", "1", cast("Model", None)))
    assert served.not_ready_because is None
    served.drain()
    assert served.not_ready_because == "draining: the server is shutting down"


def test_stops_in_the_middle_of_a_download(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    mlflow.faults.flowing.clear()
    with InferenceServer(tmp_path, mlflow.url) as server:
        eventually(lambda: mlflow.downloads, "a download to begin")
        server.process.terminate()
        assert server.process.wait() == 0
    mlflow.faults.flowing.set()
    mlflow.publish("2", models.scaling(3))
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("2")
        eventually(lambda: not list(server.cache.glob(".incoming-*")), "what was left behind to be cleaned up")


def _accepts(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def test_an_idle_connection_outlasts_the_clients_own_patience(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        address = (server.http.base_url.host, server.http.base_url.port or 80)
        with socket.create_connection(address, timeout=6) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in connection.recv(4096)
            with pytest.raises(TimeoutError):  # httpx gives up an idle connection after 5 s; nobody closes it before
                _read_to_end(connection)


def _read_to_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass
