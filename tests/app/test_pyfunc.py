"""Models of MLflow's other flavours, served by real worker processes."""
# pandas ships no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
from sklearn.pipeline import Pipeline  # pyright: ignore[reportMissingTypeStubs]

from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually
from tests.app.support.pyfunc_models import ROWS, fitted, save_columns, save_obedient, save_tensor
from tests.app.support.server import InferenceServer

_TIMEOUT_SECONDS = 3
_SECRET = "not-for-models"


class Platform:
    """A server with three models in workers and one of ONNX; the workers' models, as scikit-learn has them."""

    def __init__(self, folder: Path, mlflow: MlflowStandIn) -> None:
        self.mlflow = mlflow
        self.columns: Pipeline = fitted()
        mlflow.publish_folder("1", save_columns(folder / "columns", self.columns))
        tensor, self.tensor = save_tensor(folder / "tensor")
        mlflow.publish_folder("11", tensor, "tensor")
        mlflow.publish_folder("21", save_obedient(folder / "obedient"), "obedient")
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(models.scaling(2))
        served: list[dict[str, object]] = [
            {"name": "demo", "source": "pyfunc:/demo@production"},
            {"name": "tensor", "source": "pyfunc:/tensor@production", "max_batch_size": 8},
            {"name": "obedient", "source": "pyfunc:/obedient@production"},
            {"name": "onnx", "source": f"file://{folder}/onnx"},
        ]
        self.server = InferenceServer(
            folder,
            mlflow.url,
            INFERENCE_MODEL_NAME="",
            INFERENCE_MODELS=json.dumps(served),
            INFERENCE_PYFUNC_TIMEOUT_SECONDS=str(_TIMEOUT_SECONDS),
            INFERENCE_ACCESS_LOG_PER_SECOND="0",
            AWS_SECRET_ACCESS_KEY=_SECRET,
        )
        eventually(self.server.is_ready, "all models to be served", timeout=90)

    def predict(self, name: str, rows: Any, client: httpx.Client | None = None) -> httpx.Response:
        return (client or self.server.http).post(f"/v1/models/{name}:predict", json={"instances": rows})

    def obey(self, order: str) -> httpx.Response:
        return self.predict("obedient", [order])

    def said(self, order: str) -> str:
        return str(self.obey(order).raise_for_status().json()["predictions"][0])

    def await_worker(self) -> None:
        eventually(lambda: self.obey("hello").status_code == 200, "the worker to be back", timeout=60)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with MlflowStandIn() as mlflow:
        running = Platform(tmp_path_factory.mktemp("pyfunc"), mlflow)
        with running.server:
            yield running


def _rows() -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in ROWS.to_dict(orient="records")]


def test_rows_of_words_and_numbers_give_what_scikit_learn_gives(platform: Platform) -> None:
    response = platform.predict("demo", _rows())
    assert response.json() == {"predictions": platform.columns.predict(ROWS).tolist()}
    assert response.headers["x-model-version"] == "1"
    column = platform.predict("demo", [{**_rows()[0], "city": "Nowhere"}])
    assert column.json()["predictions"][0] in {"yes", "no"}


def test_v2_gives_the_same_and_describes_the_columns(platform: Platform) -> None:
    http = platform.server.http
    described = http.get("/v2/models/demo").json()
    assert [(each["name"], each["datatype"], each["shape"]) for each in described["inputs"]] == [
        ("age", "FP64", [-1]),
        ("city", "BYTES", [-1]),
        ("visits", "INT64", [-1]),
    ]
    inputs = [
        {"name": each["name"], "datatype": each["datatype"], "shape": [6], "data": ROWS[each["name"]].tolist()}
        for each in described["inputs"]
    ]
    [output] = http.post("/v2/models/demo/infer", json={"inputs": inputs}).json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output", "BYTES", [6])
    assert output["data"] == platform.columns.predict(ROWS).tolist()


def test_raw_bytes_go_to_a_tensor_model_and_back(platform: Platform) -> None:
    features = np.random.default_rng(3).normal(size=(20, 3))  # more rows than one run takes
    head = {
        "inputs": [
            {"name": "input", "datatype": "FP64", "shape": [20, 3], "parameters": {"binary_data_size": features.nbytes}}
        ],
        "outputs": [{"name": "output", "parameters": {"binary_data": True}}],
    }
    header = json.dumps(head).encode()
    response = platform.server.http.post(
        "/v2/models/tensor/infer",
        content=header + features.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
    size = int(response.headers["inference-header-content-length"])
    expected: LogisticRegression = platform.tensor
    assert np.frombuffer(response.content[size:], np.int64).tolist() == np.asarray(expected.predict(features)).tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"age": "old"}, "instances[0].age: expected a number"),
        ({"visits": 1.5}, "instances[0].visits: expected an integer"),
        ({"city": 3}, "instances[0].city: expected a string"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_before_it_reaches_the_worker(
    platform: Platform, change: dict[str, object], said: str
) -> None:
    response = platform.predict("demo", [{**_rows()[0], **change}])
    assert response.status_code == 400
    assert said in response.json()["error"]


def test_columns_of_different_lengths_are_refused(platform: Platform) -> None:
    response = platform.server.http.post(
        "/v1/models/demo:predict", json={"inputs": {"age": [1.0, 2.0], "city": ["Bern"], "visits": [1]}}
    )
    assert response.status_code == 400
    assert "same number of rows" in response.json()["error"]


@pytest.mark.parametrize("order", ["raise", "shape"])
def test_a_model_that_fails_tells_the_client_nothing_of_itself(platform: Platform, order: str) -> None:
    response = platform.obey(order)
    assert response.status_code == 400
    assert response.json() == {"error": "the model cannot compute these values; the server's log says why"}
    if order == "raise":
        [line] = platform.server.log_lines(message="a run failed: RuntimeError: the secret recipe")
        assert (line["model"], line["version"]) == ("obedient", "21")
    assert platform.said("hello") == "hello!"


def test_what_a_model_prints_is_in_the_log(platform: Platform) -> None:
    platform.said("print good morning")
    eventually(lambda: platform.server.log_lines(message="worker: good morning", model="obedient"), "the line")


def test_a_slow_model_holds_up_no_other(platform: Platform) -> None:
    slow: list[httpx.Response] = []
    with httpx.Client(base_url=platform.server.http.base_url, timeout=20) as client:
        thread = threading.Thread(target=lambda: slow.append(platform.predict("obedient", ["sleep 2"], client)))
        thread.start()
        answered = 0
        while thread.is_alive():
            began = time.monotonic()
            assert platform.predict("onnx", [[1, 2, 3]]).json() == {"predictions": [[2, 4, 6]]}
            assert time.monotonic() - began < 1.5
            answered += 1
        thread.join()
    assert answered > 10
    assert slow[0].status_code == 200


def test_a_request_is_given_up_at_its_own_deadline_and_the_worker_goes_on(platform: Platform) -> None:
    before = platform.said("ids")
    inputs = [{"name": "order", "datatype": "BYTES", "shape": [1], "data": ["sleep 1"]}]
    body = {"inputs": inputs, "parameters": {"timeout": 100_000}}
    assert platform.server.http.post("/v2/models/obedient/infer", json=body).status_code == 504
    assert platform.said("ids") == before


def test_a_hanging_model_is_killed_and_started_again(platform: Platform) -> None:
    before = platform.said("ids")
    began = time.monotonic()
    response = platform.obey("sleep 1000")
    assert response.status_code == 504
    assert time.monotonic() - began < _TIMEOUT_SECONDS + 5
    platform.await_worker()
    assert platform.said("ids") != before
    eventually(lambda: not _lives(before), "the old worker to be gone")


def test_a_dead_worker_is_started_again_while_other_models_answer(platform: Platform) -> None:
    before = platform.said("ids")
    assert platform.obey("exit 3").status_code == 503
    [line] = eventually(
        lambda: [each for each in platform.server.log_lines() if "(exit status 3)" in each["message"]], "the reason"
    )
    assert (line["model"], line["version"]) == ("obedient", "21")
    refused = platform.obey("hello")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert platform.predict("onnx", [[1, 2, 3]]).json() == {"predictions": [[2, 4, 6]]}
    assert platform.predict("demo", _rows()[:1]).status_code == 200
    platform.await_worker()
    assert platform.said("ids") != before


def test_a_worker_killed_while_idle_is_started_again(platform: Platform) -> None:
    before = platform.said("ids")
    os.kill(_pid(before), signal.SIGKILL)
    eventually(lambda: not _lives(before), "its end")
    platform.await_worker()
    assert platform.said("ids") != before


def test_a_worker_has_nothing_of_the_server_s_environment(platform: Platform) -> None:
    environment = platform.said("environment")
    assert _SECRET not in environment
    assert not [line for line in environment.splitlines() if line.startswith(("INFERENCE_", "AWS_"))]
    pid, parent, group = platform.said("ids").split()
    assert pid == group != parent
    servers, workers = ({each.readlink() for each in Path(f"/proc/{one}/fd").iterdir()} for one in (parent, pid))
    assert not [each for each in workers & servers if str(each).startswith("socket:")]
    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


_PEEK = """
import ctypes, os, subprocess, sys
from pathlib import Path
from inference_app.metrics import Metrics
from inference_app.pyfunc.host import PyfuncHost
from inference_app.pyfunc.process import WorkerSettings

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as it is after exec

def peek():
    return subprocess.run(["cat", f"/proc/{os.getpid()}/environ"], capture_output=True).returncode

print(peek())
PyfuncHost(WorkerSettings(Path(sys.executable), 1, 1), Metrics("cpu"))
print(peek())
"""


def test_the_kernel_keeps_a_process_of_the_same_user_out_of_the_server_s_environment() -> None:
    run = subprocess.run([sys.executable, "-c", _PEEK], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "1"], run.stderr


def test_the_server_s_own_process_imports_no_mlflow() -> None:
    said = "import sys, inference_app.__main__; print({'mlflow', 'pandas'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_new_version_is_switched_to_without_a_failed_request(platform: Platform, tmp_path: Path) -> None:
    new = fitted(inverted=True)
    expected = new.predict(ROWS).tolist()
    platform.mlflow.publish_folder("2", save_columns(tmp_path / "new", new))

    def is_new() -> bool:
        response = platform.predict("demo", _rows())
        assert response.status_code == 200
        return bool(response.json()["predictions"] == expected and response.headers["x-model-version"] == "2")

    eventually(is_new, "version 2", timeout=60)


def test_a_folder_that_is_not_as_promised_is_refused(platform: Platform, tmp_path: Path) -> None:
    mlflow, server = platform.mlflow, platform.server
    mlflow.publish_folder("3", save_columns(tmp_path / "broken", platform.columns))
    mlflow.versions["3"].beside["model.skops"] += b"more"
    eventually(lambda: _refusals(server, "3", "its model.skops has SHA-256"), "the refusal")
    assert platform.predict("demo", _rows()).status_code == 200
    assert not list(server.cache.parent.glob("demo/3-*"))


def test_a_list_that_leads_out_of_the_folder_is_refused(platform: Platform, tmp_path: Path) -> None:
    mlflow, server = platform.mlflow, platform.server
    mlflow.publish_folder("4", save_columns(tmp_path / "escaping", platform.columns))
    version = mlflow.versions["4"]
    version.beside["SHA256SUMS"] += f"{models.sha256(b'')}  ../../escaped\n".encode()
    version.tags["sha256sums"] = models.sha256(version.beside["SHA256SUMS"])
    mlflow.alias = "4"
    eventually(lambda: _refusals(server, "4", "its SHA256SUMS is wrong in line"), "the refusal")
    assert not list(server.cache.parent.rglob("escaped"))


def test_a_model_that_does_not_load_is_refused_with_the_reason(platform: Platform, tmp_path: Path) -> None:
    folder = save_columns(tmp_path / "unloadable", platform.columns)
    (folder / "model.skops").write_bytes(b"no model")
    platform.mlflow.publish_folder("5", folder)
    eventually(lambda: _refusals(platform.server, "5", "it does not load"), "the refusal", timeout=60)
    assert platform.predict("demo", _rows()).status_code == 200


@pytest.fixture
def lone_server(tmp_path: Path) -> Iterator[InferenceServer]:
    """A server with one model in a worker."""
    with MlflowStandIn() as mlflow:
        mlflow.publish_folder("1", save_obedient(tmp_path / "obedient"))
        served = [{"name": "demo", "source": "pyfunc:/demo@production"}]
        with InferenceServer(
            tmp_path / "server", mlflow.url, INFERENCE_MODEL_NAME="", INFERENCE_MODELS=json.dumps(served)
        ) as server:
            eventually(server.is_ready, "the model to be served", timeout=60)
            yield server


def test_a_worker_does_not_outlive_a_killed_server(lone_server: InferenceServer) -> None:
    hanging = threading.Thread(target=_ignore_the_end, args=(lone_server, "sleep 1000"))
    ids = str(lone_server.predict(["ids"]).json()["predictions"][0])
    hanging.start()
    eventually(lambda: lone_server.metric('inference_batch_size_count{model="demo",version="1"}') == 2, "the run")
    os.kill(int(ids.split()[1]), signal.SIGKILL)
    eventually(lambda: not _lives(ids), "the worker's end", timeout=5)
    hanging.join()


def test_sigterm_drains_what_is_in_the_worker(lone_server: InferenceServer) -> None:
    ids = str(lone_server.predict(["ids"]).json()["predictions"][0])
    answers: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: answers.append(lone_server.predict(["sleep 2"])))
    slow.start()
    eventually(lambda: lone_server.metric('inference_batch_size_count{model="demo",version="1"}') == 2, "the run")
    os.kill(_pid(ids), signal.SIGTERM)  # as who stops every process of a service does
    lone_server.process.terminate()
    slow.join()
    assert answers[0].json() == {"predictions": ["sleep!"]}
    assert lone_server.process.wait() == 0
    assert not _lives(ids)


def _ignore_the_end(server: InferenceServer, order: str) -> None:
    with suppress(httpx.TransportError):
        server.predict([order])


def _refusals(server: InferenceServer, version: str, said: str) -> list[dict[str, Any]]:
    return [line for line in server.log_lines(version=version) if said in line["message"]]


def _pid(ids: str) -> int:
    return int(ids.split(maxsplit=1)[0])


def _lives(ids: str) -> bool:
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{_pid(ids)}/status").read_text()
    return False
