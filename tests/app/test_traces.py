"""Traces: from a request's headers to a collector."""

# tritonclient ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tritonclient import grpc as triton

from inference_app.http.inference import Inference
from inference_app.http.reply import Reply
from inference_app.metrics import Metrics
from inference_app.model import Datatype, Models, ServedModel, Signature
from inference_app.settings import SettingsError
from inference_app.traces import Tracer, configured_tracer
from tests.app.support import models
from tests.app.support.collector import Collector, attributes
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually, free_port
from tests.app.support.served import EchoModel, spec
from tests.app.support.server import InferenceServer

_PARENT = "00f067aa0ba902b7"
_STAGES = ["decode", "queue", "run", "encode"]
_GRPC = "inference.GRPCInferenceService/ModelInfer"
_SOON = "20"  # milliseconds until spans are sent


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[InferenceServer]:
    """`demo`, version 1, which looks up one of three rows and fails on another index."""
    with MlflowStandIn() as mlflow:
        mlflow.publish("1", models.lookup())
        with InferenceServer(
            tmp_path_factory.mktemp("traced"),
            mlflow.url,
            INFERENCE_ACCESS_LOG_PER_SECOND="100000",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_SERVICE_NAME="lookup-service",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=tests",
            OTEL_BSP_SCHEDULE_DELAY=_SOON,
        ) as server:
            server.await_version("1")
            yield server


def _context(*, sampled: bool = True) -> tuple[str, dict[str, str]]:
    """A new trace, and the headers that continue it."""
    trace = secrets.token_hex(16)
    return trace, {"traceparent": f"00-{trace}-{_PARENT}-{sampled:02d}", "tracestate": "vendor=1"}


def _post(server: InferenceServer, rows: Any, path: str = "/v1/models/demo:predict") -> tuple[int, str]:
    """Status and trace of a request."""
    trace, headers = _context()
    return server.http.post(path, json={"instances": rows}, headers=headers).status_code, trace


def _names(spans: list[Span]) -> list[str]:
    return [span.name for span in spans]


def _failed(spans: list[Span]) -> list[str]:
    return [span.name for span in spans if span.status.code == Status.STATUS_CODE_ERROR]


def test_an_inference_has_a_span_and_one_below_it_for_each_stage(traced: InferenceServer, collector: Collector) -> None:
    began = time.time_ns()
    status, trace = _post(traced, [[0], [1]])
    ended = time.time_ns()
    assert status == 200
    server, *stages = collector.trace(trace)
    assert server.name == "POST /v1/models/{name}:predict"
    assert server.parent_span_id.hex() == _PARENT
    assert server.trace_state == "vendor=1"
    about = attributes(server.attributes)
    assert len(about.pop("http.request.header.x-request-id")) == 1
    assert about == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{name}:predict",
        "url.path": "/v1/models/demo:predict",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "inference.model.name": "demo",
        "inference.model.version": "1",
    }
    assert _names(stages) == _STAGES
    assert attributes(stages[2].attributes) == {"inference.batch.size": 2}
    moments = [began]
    for stage in stages:
        moments += [stage.start_time_unix_nano, stage.end_time_unix_nano]
    moments.append(ended)
    assert moments == sorted(moments)
    assert server.start_time_unix_nano == stages[0].start_time_unix_nano
    assert server.end_time_unix_nano == stages[-1].end_time_unix_nano
    assert not _failed([server, *stages])


def test_whoever_sends_says_who_it_is(traced: InferenceServer, collector: Collector) -> None:
    _, trace = _post(traced, [[0]])
    collector.trace(trace)
    resource = collector.resources[-1]
    assert resource["service.name"] == "lookup-service"
    assert resource["deployment.environment.name"] == "tests"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/demo/versions/1:predict", "/v1/models/{name}/versions/{version}:predict"),
        ("/v1/models/demo:predict?usual=way", "/v1/models/{name}:predict"),
    ],
)
def test_spans_are_named_by_route(traced: InferenceServer, collector: Collector, path: str, route: str) -> None:
    status, trace = _post(traced, [[0]], path)
    assert status == 200
    server, *stages = collector.trace(trace)
    assert server.name == f"POST {route}"
    assert _names(stages) == _STAGES
    line = eventually(lambda: traced.log_lines(trace_id=trace), "the access line")
    assert [each["status"] for each in line] == [200]


def test_v2_is_traced(traced: InferenceServer, collector: Collector) -> None:
    trace, headers = _context()
    tensor = {"name": "input", "shape": [1, 1], "datatype": "INT64", "data": [2]}
    assert traced.http.post("/v2/models/demo/infer", json={"inputs": [tensor]}, headers=headers).status_code == 200
    server, *stages = collector.trace(trace)
    assert server.name == "POST /v2/models/{name}/infer"
    assert _names(stages) == _STAGES


def test_grpc_is_traced(traced: InferenceServer, collector: Collector) -> None:
    trace, headers = _context()
    with triton.InferenceServerClient(f"127.0.0.1:{traced.grpc_port}") as client:
        client.infer("demo", [_index(1)], headers=headers)
    server, *stages = collector.trace(trace)
    assert server.name == _GRPC
    assert server.parent_span_id.hex() == _PARENT
    assert attributes(server.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": _GRPC,
        "rpc.response.status_code": "OK",
        "inference.model.name": "demo",
        "inference.model.version": "1",
    }
    assert _names(stages) == _STAGES


def test_a_grpc_call_of_no_model_is_the_callers_error(traced: InferenceServer, collector: Collector) -> None:
    trace, headers = _context()
    with (
        triton.InferenceServerClient(f"127.0.0.1:{traced.grpc_port}") as client,
        pytest.raises(triton.InferenceServerException),
    ):
        client.infer("other", [_index(1)], headers=headers)
    server, *stages = collector.trace(trace)
    assert attributes(server.attributes)["rpc.response.status_code"] == "NOT_FOUND"
    assert _failed([server, *stages]) == ["decode"]


@pytest.mark.parametrize(
    ("rows", "stages"),
    [([["no number"]], ["decode"]), ([[7]], ["decode", "queue", "run"])],
    ids=["decode", "run"],
)
def test_an_error_is_in_the_stage_that_it_is_of(
    traced: InferenceServer, collector: Collector, rows: Any, stages: list[str]
) -> None:
    status, trace = _post(traced, rows)
    assert status == 400
    server, *below = collector.trace(trace)
    assert attributes(server.attributes)["http.response.status_code"] == 400
    assert _names(below) == stages
    # For the server, the conventions of HTTP say, an error of the client is none.
    assert _failed([server, *below]) == stages[-1:]


def test_an_error_of_the_server_is_one(tmp_path: Path, collector: Collector) -> None:
    with (
        MlflowStandIn() as empty,
        InferenceServer(
            tmp_path,
            empty.url,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
            OTEL_BSP_SCHEDULE_DELAY=_SOON,
        ) as server,
    ):
        status, trace = _post(server, [[0]])
        assert status == 503
        root, *stages = collector.trace(trace)
    assert attributes(root.attributes)["error.type"] == "503"
    assert _failed([root, *stages]) == [root.name, "decode"]
    assert collector.resources[-1]["service.name"] == "inference-platform"


def test_a_request_outside_of_traces_begins_one_and_its_log_line_names_it(
    traced: InferenceServer, collector: Collector
) -> None:
    identity = secrets.token_hex(8)
    response = traced.http.post(
        "/v1/models/demo:predict", json={"instances": [[0]]}, headers={"x-request-id": identity}
    )
    assert response.status_code == 200
    (line,) = eventually(lambda: traced.log_lines(request_id=identity), "the access line")
    server = collector.trace(line["trace_id"])[0]
    assert server.parent_span_id == b""
    assert attributes(server.attributes)["http.request.header.x-request-id"] == [identity]


def test_what_the_caller_does_not_sample_is_not_sent(traced: InferenceServer, collector: Collector) -> None:
    unsampled, headers = _context(sampled=False)
    assert traced.http.post("/v1/models/demo:predict", json={"instances": [[0]]}, headers=headers).status_code == 200
    _, later = _post(traced, [[0]])
    collector.trace(later)  # spans are sent in the order of their end
    assert bytes.fromhex(unsampled) not in {span.trace_id for span in collector.spans}
    assert eventually(
        lambda: traced.log_lines(trace_id=unsampled), "the access line, which names the trace all the same"
    )


def test_what_is_left_is_sent_before_the_end(tmp_path: Path, mlflow: MlflowStandIn, collector: Collector) -> None:
    with InferenceServer(
        tmp_path, mlflow.url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="600000"
    ) as server:
        server.await_version("1")
        status, trace = _post(server, [[1, 2, 3]])
        assert status == 200
        server.process.terminate()
        assert server.process.wait() == 0
    assert _names(collector.trace(trace)[1:]) == _STAGES


def test_serving_goes_on_without_a_collector(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(
        tmp_path,
        mlflow.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_BSP_SCHEDULE_DELAY=_SOON,
        OTEL_BSP_MAX_QUEUE_SIZE="8",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8",
    ) as server:
        server.await_version("1")
        assert [_post(server, [[1, 2, 3]])[0] for _ in range(50)] == [200] * 50
        eventually(lambda: "Queue full, dropping Span" in server.process.output(), "spans to be dropped, not kept")
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait() == 0
        assert time.monotonic() - began < 8
        assert "the last spans could not be sent" in server.process.output()


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
    ],
    ids=["unset", "empty", "disabled", "none", "on"],
)
def test_nothing_is_imported_and_nothing_runs_unless_configured(environment: dict[str, str], is_on: bool) -> None:
    script = """
import json, sys, threading
import inference_app.app
from inference_app.traces import configured_tracer
tracer = configured_tracer()
sdk = ("opentelemetry.sdk", "opentelemetry.exporter", "requests")
imported = [name for name in sys.modules if name.startswith(sdk)]
print(json.dumps([tracer is not None, bool(imported), threading.active_count()]))
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout) == [is_on, is_on, 1 + is_on]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ],
)
def test_what_is_not_sent_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} got '{value}'; it takes "):
        configured_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", name: value})


def test_a_client_that_goes_away_ends_its_trace() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    model = EchoModel(Signature((spec(Datatype.FP32, None, 1),), (spec(Datatype.FP32, None, 1),)))
    model.held = True
    served = Models(["demo"])
    slot = served.slot("demo")
    assert slot is not None
    slot.switch(ServedModel("demo", "1", model))
    inference = Inference(served, Metrics("cpu"), Tracer(provider.get_tracer("tests"), provider.shutdown))
    route = inference.route("/v1/models/demo:predict")
    assert route is not None
    replies: list[Reply] = []
    pending = inference.start(route, b'{"instances": [[1]]}', (), None, "id", lambda reply, _: replies.append(reply))
    assert pending is not None
    assert not exporter.get_finished_spans()
    pending.cancel()
    pending.cancel()
    assert not replies
    assert model.cancelled
    *stages, server = exporter.get_finished_spans()
    assert [stage.name for stage in stages] == ["decode", "queue"]
    assert dict(server.attributes or {})["http.response.status_code"] == 499


def _index(value: int) -> triton.InferInput:
    tensor = triton.InferInput("input", [1, 1], "INT64")
    tensor.set_data_from_numpy(np.array([[value]], dtype=np.int64))
    return tensor
