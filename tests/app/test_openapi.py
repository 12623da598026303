"""The OpenAPI document against the real server: everything that it allows, much that it doesn't, and never a 500."""
# schemathesis makes its classes of whatever a document holds.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.app.support import models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.server import InferenceServer

load_all_checks()
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    allow_header_conformance,
    unsupported_method,
]
_RIGHT = {
    "}:predict": {"instances": [[1, 2, 3]]},
    "/predict": {"data": [[1, 2, 3]]},
    "/infer": {"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]},
}
_OPERATIONS = [
    "GET /",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/models",
    "GET /v1/models/{name}",
    "GET /v1/models/{name}/versions/{version}",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/{name}",
    "GET /v2/models/{name}/ready",
    "GET /v2/models/{name}/versions/{version}",
    "GET /v2/models/{name}/versions/{version}/ready",
    "POST /predict",
    "POST /v1/models/{name}/versions/{version}:predict",
    "POST /v1/models/{name}:predict",
    "POST /v2/models/{name}/infer",
    "POST /v2/models/{name}/versions/{version}/infer",
    "POST /v2/repository/index",
    "POST /v2/repository/models/{name}/load",
    "POST /v2/repository/models/{name}/unload",
    "POST /webhooks/mlflow",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    with MlflowStandIn() as mlflow:
        mlflow.publish("1", models.scaling(2))
        with InferenceServer(
            tmp_path_factory.mktemp("server"),
            mlflow.url,
            INFERENCE_MAX_BODY_BYTES="65536",
            INFERENCE_WEBHOOK_SECRET="s",
        ) as server:
            server.await_version("1")
            yield server


@pytest.fixture(scope="module")
def document(server: InferenceServer) -> dict[str, Any]:
    return server.http.get("/openapi.json").json()


@pytest.fixture(scope="module")
def described(document: dict[str, Any]) -> dict[str, Any]:
    return _operations(document)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def test_every_operation_is_described(described: dict[str, Any]) -> None:
    assert sorted(described) == _OPERATIONS


@pytest.mark.parametrize("name", _OPERATIONS)
def test_as_described(server: InferenceServer, described: dict[str, Any], session: requests.Session, name: str) -> None:
    statuses = _ask(server, described[name], session)
    assert 200 in statuses or "webhook" in name
    server.http.post("/v2/repository/models/demo/load").raise_for_status()


def test_what_is_not_described_is_noticed(
    server: InferenceServer, document: dict[str, Any], session: requests.Session
) -> None:
    lacking = copy.deepcopy(document)
    del lacking["paths"]["/v1/models/{name}:predict"]["post"]["responses"]["400"]
    with pytest.raises(BaseExceptionGroup, match="Undocumented status code"):
        _ask(server, _operations(lacking)["POST /v1/models/{name}:predict"], session)


def _operations(document: dict[str, Any]) -> dict[str, Any]:
    results: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    found = [result.ok() for result in results]
    return {f"{each.method.upper()} {each.path}": each for each in found}


def _ask(server: InferenceServer, operation: Any, session: requests.Session) -> set[int]:
    """Ask what is allowed and what is not, of the model that is there and of others; every status that came back."""
    known = {name: value for name, value in (("name", "demo"), ("version", "1")) if f"{{{name}}}" in operation.path}
    modes = list(GenerationMode) if operation.body or known else [GenerationMode.POSITIVE]
    cases = [operation.as_strategy(generation_mode=mode) for mode in modes]
    cases += [operation.as_strategy(path_parameters=known)] if known else []
    cases += [operation.as_strategy(GenerationMode.NEGATIVE, path_parameters=known)] if known and operation.body else []
    if operation.body:
        right = next((body for end, body in _RIGHT.items() if operation.path.endswith(end)), {})
        cases.append(operation.as_strategy(path_parameters=known, body=right, media_type="application/json"))
    statuses: set[int] = set()

    @given(case=st.one_of(cases))
    @settings(
        max_examples=50 if operation.body else 10,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def ask(case: Any) -> None:
        statuses.add(case.call_and_validate(str(server.http.base_url), session=session, checks=_CHECKS).status_code)

    ask()
    return statuses
