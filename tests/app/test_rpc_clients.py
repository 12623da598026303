"""The field's own clients, as they come: tritonclient over HTTP and gRPC, and KServe's."""
# tritonclient ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.serving import environments
from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.server import InferenceServer
from tools.console import Console
from tools.places import Home

_ROWS = np.array([[1, 2.5, -3], [4, 5, 6]], dtype=np.float32)
_KSERVE = Path(__file__).parent / "support" / "kserve_client.py"


def _where(server: InferenceServer, module: str) -> str:
    return f"127.0.0.1:{server.grpc_port if 'grpc' in module else server.http.base_url.port}"


def _input(module: Any, rows: Any = _ROWS) -> Any:
    tensor = module.InferInput("input", [*rows.shape], "FP32")
    tensor.set_data_from_numpy(rows)
    return tensor


@pytest.mark.parametrize("name", ["tritonclient.http", "tritonclient.grpc"])
def test_tritonclient(name: str, shared_server: InferenceServer) -> None:
    module: Any = import_module(name)
    with module.InferenceServerClient(_where(shared_server, name)) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("demo")
        assert client.is_model_ready("demo", "1")
        as_json = {"as_json": True} if "grpc" in name else {}
        assert client.get_server_metadata(**as_json)["name"] == "inference-platform"
        (tensor,) = client.get_model_metadata("demo", **as_json)["inputs"]
        assert (tensor["name"], [int(size) for size in tensor["shape"]]) == ("input", [-1, 3])
        wanted = [module.InferRequestedOutput("output")]
        for outputs in (None, wanted):
            result = client.infer("demo", [_input(module)], outputs=outputs, request_id="a-1", timeout=20_000_000)
            assert result.as_numpy("output").tolist() == (2 * _ROWS).tolist()
            response = result.get_response(**as_json)
            assert (response["model_name"], response["model_version"], response["id"]) == ("demo", "1", "a-1")
        for compression in ("gzip", "deflate") if "grpc" in name else ():
            result = client.infer("demo", [_input(module)], compression_algorithm=compression)
            assert result.as_numpy("output").tolist() == (2 * _ROWS).tolist()
        with pytest.raises(Exception, match=r"expected shape \[any, 3\], got \[2, 2\]"):
            client.infer("demo", [_input(module, _ROWS[:, :2])])
        with pytest.raises(Exception, match="no model 'other' here"):
            client.infer("other", [_input(module)])


@pytest.mark.parametrize("name", ["tritonclient.http", "tritonclient.grpc"])
def test_tritonclients_repository_calls(name: str, tmp_path: Path, mlflow: MlflowStandIn) -> None:
    module: Any = import_module(name)
    with (
        InferenceServer(tmp_path, mlflow.url, INFERENCE_POLL_SECONDS="3600") as server,
        module.InferenceServerClient(_where(server, name)) as client,
    ):
        server.await_version("1")
        as_json = {"as_json": True} if "grpc" in name else {}
        index: Any = client.get_model_repository_index(**as_json)
        (entry,) = index["models"] if "grpc" in name else index
        assert (entry["name"], entry["version"], entry["state"]) == ("demo", "1", "READY")
        client.unload_model("demo")
        assert not client.is_model_ready("demo")
        mlflow.publish("2", models.scaling(3))
        client.load_model("demo")
        assert client.is_model_ready("demo", "2")


@pytest.mark.parametrize("name", ["tritonclient.http.aio", "tritonclient.grpc.aio"])
async def test_tritonclient_aio(name: str, shared_server: InferenceServer) -> None:
    module: Any = import_module(name)
    async with module.InferenceServerClient(_where(shared_server, name)) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("demo")
        result = await client.infer("demo", [_input(module)])
        assert result.as_numpy("output").tolist() == (2 * _ROWS).tolist()
        with pytest.raises(Exception, match="no model 'other' here"):
            await client.infer("other", [_input(module)])


@pytest.mark.timeout(300)
def test_kserves_client(shared_server: InferenceServer) -> None:
    """In an environment of its own, whose first making takes a while: its dependencies contradict ours."""
    programs = environments.make("kserve", Console(Home.current().log))
    command = [programs / "python", _KSERVE, str(shared_server.http.base_url), _where(shared_server, "grpc")]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    sys.stderr.write(run.stderr)
    assert run.returncode == 0
    said = json.loads(run.stdout.splitlines()[-1])
    doubled = (2 * _ROWS).tolist()
    assert said["v1"] == {"live": True, "model": True, "other": "404", "predictions": doubled}
    v2 = {"live": True, "ready": True, "model": True, "json": doubled, "binary": doubled}
    assert said["v2"] == {**v2, "other": "404"}
    assert said["grpc"] == {**v2, "other": "NOT_FOUND", "wrong": "INVALID_ARGUMENT", "model_version": "1"}
