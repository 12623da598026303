"""The server's HTTP surface, against a real process."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.server import InferenceServer

_PREDICT = "/v1/models/demo:predict"
_LIMIT = 65536

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=9), children, max_size=3),
    max_leaves=20,
)
_bodies = st.one_of(
    st.binary(max_size=200),
    _json.map(json.dumps).map(str.encode),
    st.fixed_dictionaries({"instances": _json}).map(json.dumps).map(str.encode),
    st.fixed_dictionaries({"data": st.lists(st.lists(st.floats(), min_size=2, max_size=4), max_size=4)})
    .map(json.dumps)
    .map(str.encode),
)


def test_v1_prediction(shared_server: InferenceServer) -> None:
    response = shared_server.predict([[1, 2.5, -3], [4, 5, 6]])
    assert response.status_code == 200
    assert response.json() == {"predictions": [[2, 5, -6], [8, 10, 12]]}
    assert response.headers["content-type"] == "application/json"
    assert (response.headers["x-model-name"], response.headers["x-model-version"]) == ("demo", "1")


def test_plain_prediction(shared_server: InferenceServer) -> None:
    response = shared_server.http.post("/predict", json={"data": [[1, 2, 3]]})
    assert response.json() == {"prediction": [[2, 4, 6]], "modelVersion": "1"}


def test_status_documents(shared_server: InferenceServer) -> None:
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    status = shared_server.http.get("/v1/models/demo").json()
    assert status == {"name": "demo", "ready": True, "model_version_status": [state]}
    assert shared_server.http.get("/v1/models").json() == {"models": ["demo"]}
    assert shared_server.http.get("/readyz").json() == {"status": "ready"}
    assert "/predict" in shared_server.http.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/models/other:predict", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/nowhere", 404),
        ("GET", _PREDICT, 405),
        ("GET", "/predict", 405),
        ("POST", "/v1/models/demo", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_errors_of_routing_are_json(shared_server: InferenceServer, method: str, path: str, status: int) -> None:
    response = shared_server.http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]
    assert response.headers["x-request-id"]
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: not JSON"),
        (b"\xff\xfe", "body: not JSON"),
        (b'{"instances": [[1, 2, NaN]]}', "body: not JSON"),
        (b'{"instances": [[1, 2, 1e999]]}', "body: not JSON"),
        (b"[" * 5000 + b"]" * 5000, "body: not JSON"),
        (b"[]", 'body: expected an object with "instances", got a list of 0'),
        (b'{"data": [[1, 2, 3]]}', 'body: expected an object with "instances", which is missing'),
        (b'{"instances": [[1, 2]]}', "instances[0]: expected 3 numbers, got 2"),
        (b'{"instances": [[1, 2, ' + b"9" * 50 + b"]]}", "instances[0][2]: 1e+50 does not fit FP32"),
    ],
)
def test_bad_input_is_explained(shared_server: InferenceServer, body: bytes, message: str) -> None:
    response = shared_server.http.post(_PREDICT, content=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith(message)


@given(body=_bodies, path=st.sampled_from([_PREDICT, "/predict"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_answered_or_refused(shared_server: InferenceServer, body: bytes, path: str) -> None:
    response = shared_server.http.post(path, content=body)
    assert response.status_code in {200, 400}
    assert (response.status_code == 200) != ("error" in response.json())


def test_large_body_is_refused_by_its_header(shared_server: InferenceServer) -> None:
    response = shared_server.http.post(_PREDICT, content=b" " * (_LIMIT + 1))
    assert response.status_code == 413
    assert response.json()["error"] == f"body: larger than {_LIMIT} bytes"


def test_largest_body_is_read(shared_server: InferenceServer) -> None:
    body = json.dumps({"instances": [[1, 2, 3]]}).encode()
    assert shared_server.http.post(_PREDICT, content=body.ljust(_LIMIT)).status_code == 200


def test_chunked_body_is_read_no_further_than_the_limit(shared_server: InferenceServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 16384

    response = shared_server.http.post(_PREDICT, content=endless())
    assert response.status_code == 413


def test_a_client_that_goes_away_leaves_the_server_well(shared_server: InferenceServer) -> None:
    url = shared_server.http.base_url
    with socket.create_connection((url.host, url.port or 80)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert shared_server.predict([[1, 2, 3]]).status_code == 200


@pytest.mark.parametrize(
    ("offered", "kept"),
    [("trace-1.a_b:c", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ('a"b', False), ("", False)],
)
def test_request_ids(shared_server: InferenceServer, offered: str, kept: bool) -> None:
    identity = shared_server.http.get("/healthz", headers={"x-request-id": offered}).headers["x-request-id"]
    assert (identity == offered) == kept
    assert identity


def test_one_access_line_for_each_request(shared_server: InferenceServer) -> None:
    shared_server.http.post(_PREDICT, json={"instances": [[1, 2, 3]]}, headers={"x-request-id": "line-1"})
    [line] = shared_server.log_lines(request_id="line-1")
    wanted: dict[str, Any] = {
        "level": "info",
        "message": "request",
        "method": "POST",
        "path": _PREDICT,
        "status": 200,
        "model": "demo",
        "version": "1",
    }
    assert wanted.items() <= line.items()
    assert line["duration_ms"] > 0


def test_metrics_count_requests_and_time(shared_server: InferenceServer) -> None:
    def count(status: int) -> float:
        series = f'inference_request_total{{hardware="cpu",model="demo",status_code="{status}",version="1"}}'
        return shared_server.metric(series) or 0

    timed = 'inference_duration_seconds_count{model="demo",quantized="false",version="1"}'
    before = count(200), count(400), shared_server.metric(timed) or 0
    shared_server.predict([[1, 2, 3]])
    shared_server.predict([[1, 2]])
    assert (count(200), count(400), shared_server.metric(timed)) == (before[0] + 1, before[1] + 1, before[2] + 1)
    assert shared_server.metric('model_load_success{model="demo",version="1"}') == 1
    digest = models.sha256(models.scaling(2))
    assert shared_server.metric(f'model_info{{model="demo",sha256="{digest}",version="1"}}') == 1


def test_integers_stay_integers(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    mlflow.publish("9", models.integers())
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("9")
        assert server.predict([[1, -2]]).text == '{"predictions":[[1,-2]]}'
        assert server.predict([[1, 2**31]]).json()["error"] == "instances[0][1]: 2147483648 does not fit INT32"


def test_values_that_a_model_cannot_compute(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    mlflow.publish("9", models.failing_above_one_row())
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("9")
        assert server.predict([[1, 2, 3]]).status_code == 200
        response = server.predict([[1, 2, 3]] * 2)
        assert response.status_code == 400
        assert response.json()["error"] == "the model cannot compute these values; the server's log says why"
        assert any("Reshape" in line["message"] for line in server.log_lines(level="warning"))
        assert server.predict([[1, 2, 3]]).status_code == 200
