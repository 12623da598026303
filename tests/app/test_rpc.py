"""V2, health and reflection over gRPC, as the field's own library calls them."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import numpy as np
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_app import VERSION
from inference_app.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    UnknownModelError,
)
from inference_app.model import Datatype, Signature
from inference_app.rpc import health_pb2 as own_health
from inference_app.rpc import inference_pb2 as pb
from inference_app.rpc import reflection_pb2 as own_reflection
from tests.app.support import generate_rpc, http2, models
from tests.app.support.mlflow_stand_in import MlflowStandIn
from tests.app.support.processes import eventually
from tests.app.support.rpc import INFER, channel, floats, method, running, serialized
from tests.app.support.served import spec
from tests.app.support.server import InferenceServer

_SERVICE = "/inference.GRPCInferenceService/"
_HEALTH = "grpc.health.v1.Health"
_MIXED = Signature(
    (spec(Datatype.BYTES, None, name="city"), spec(Datatype.INT8, None, 2, name="age")),
    (spec(Datatype.BYTES, None, name="city_out"), spec(Datatype.INT8, None, 2, name="age_out")),
)

# Datatype, the field of its typed contents (None: it has none), values.
_VALUES: list[tuple[Datatype, str | None, Sequence[Any]]] = [
    (Datatype.BOOL, "bool_contents", [True, False]),
    (Datatype.UINT8, "uint_contents", [0, 2**8 - 1]),
    (Datatype.UINT16, "uint_contents", [0, 2**16 - 1]),
    (Datatype.UINT32, "uint_contents", [0, 2**32 - 1]),
    (Datatype.UINT64, "uint64_contents", [0, 2**64 - 1]),
    (Datatype.INT8, "int_contents", [-(2**7), 2**7 - 1]),
    (Datatype.INT16, "int_contents", [-(2**15), 2**15 - 1]),
    (Datatype.INT32, "int_contents", [-(2**31), 2**31 - 1]),
    (Datatype.INT64, "int64_contents", [-(2**63), 2**63 - 1]),
    (Datatype.FP16, None, [0.5, -1.25]),
    (Datatype.FP32, "fp32_contents", [0.5, float("inf")]),
    (Datatype.FP64, "fp64_contents", [1e300, float("-inf")]),
    (Datatype.BYTES, "bytes_contents", ["", "Zürich"]),
]


async def infer(calls: grpc.aio.Channel, request: pb.ModelInferRequest, **options: Any) -> pb.ModelInferResponse:
    return await unary(calls, INFER, request, pb.ModelInferResponse, **options)


async def unary(calls: grpc.aio.Channel, path: str, request: Any, response: Any, **options: Any) -> Any:
    return await method(calls, path, response)(request, **{"timeout": 20, **options})


async def _code(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize(("datatype", "contents", "values"), _VALUES)
async def test_every_datatype(datatype: Datatype, contents: str | None, values: Sequence[Any]) -> None:
    signature = Signature((spec(datatype, None),), (spec(datatype, None, name="output"),))
    texts = [value.encode() for value in values] if datatype is Datatype.BYTES else values
    if datatype is Datatype.BYTES:
        raw = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    else:
        raw = np.array(values, datatype.dtype).tobytes()
    tensor = pb.ModelInferRequest.InferInputTensor(name="input", datatype=datatype, shape=[2])
    async with running(signature) as server, channel(server.target) as calls:
        request = pb.ModelInferRequest(model_name="demo", inputs=[tensor], raw_input_contents=[raw])
        response = await infer(calls, request)
        assert [*response.raw_output_contents] == [raw]
        assert not response.outputs[0].HasField("contents")
        assert (response.outputs[0].name, response.outputs[0].datatype) == ("output", datatype)
        assert [*response.outputs[0].shape] == [2]
        if contents is None:
            code, said = await _code(infer(calls, pb.ModelInferRequest(model_name="demo", inputs=[tensor])))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert said == "input 'input': FP16 has no typed contents; use raw_input_contents"
            return
        getattr(tensor.contents, contents).extend(texts)
        response = await infer(calls, pb.ModelInferRequest(model_name="demo", inputs=[tensor]))
        assert not response.raw_output_contents
        assert [*getattr(response.outputs[0].contents, contents)] == [*texts]


async def test_what_a_response_says() -> None:
    async with running() as server, channel(server.target) as calls:
        stub = method(calls, INFER, pb.ModelInferResponse)
        call = stub(floats(id="a-1", model_version="7"), metadata=[("x-request-id", "from-the-client")], timeout=20)
        response = await call
        assert (response.model_name, response.model_version, response.id) == ("demo", "7", "a-1")
        said = dict(await call.trailing_metadata())
        assert said == {"x-request-id": "from-the-client", "x-model-name": "demo", "x-model-version": "7"}
        call = stub(pb.ModelInferRequest(model_name="other"), metadata=[("x-request-id", "\"'{}")], timeout=20)
        code, words = await _code(call)
        assert (code, words) == (grpc.StatusCode.NOT_FOUND, "no model 'other' here; this server has 'demo'")
        (said,) = await call.trailing_metadata()
        assert said[0] == "x-request-id"
        assert said[1] != "\"'{}"
        assert server.counted.answers == [("demo", "7", "OK"), ("", "", "NOT_FOUND")]
        assert server.counted.successes == 1


async def test_several_tensors_in_any_order_and_chosen_outputs() -> None:
    age = pb.ModelInferRequest.InferInputTensor(name="age", datatype="INT8", shape=[1, 2])
    age.contents.int_contents.extend([1, -2])
    city = pb.ModelInferRequest.InferInputTensor(name="city", datatype="BYTES", shape=[1])
    city.contents.bytes_contents.append(b"Ulm")
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in ("age_out", "city_out")]
    async with running(_MIXED) as server, channel(server.target) as calls:
        request = pb.ModelInferRequest(model_name="demo", inputs=[age, city], outputs=wanted)
        response = await infer(calls, request)
        assert [output.name for output in response.outputs] == ["age_out", "city_out"]
        assert [*response.outputs[0].contents.int_contents] == [1, -2]
        del request.outputs[1:]
        assert [output.name for output in (await infer(calls, request)).outputs] == ["age_out"]


def _changed(**changes: Any) -> pb.ModelInferRequest:
    request = floats()
    for name, value in changes.items():
        target: Any = request.inputs[0] if name in {"name", "datatype", "shape", "contents"} else request
        target.ClearField(name)
        target.MergeFrom(type(target)(**{name: value}))
    return request


_parameter = pb.InferParameter


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (_changed(inputs=[]), "INVALID_ARGUMENT", "inputs: missing 'input'"),
        (_changed(name="x"), "INVALID_ARGUMENT", "no input 'x' here; this model takes 'input'"),
        (_changed(datatype="FP64"), "INVALID_ARGUMENT", "input 'input': expected datatype FP32, got \"FP64\""),
        (_changed(shape=[1, 2]), "INVALID_ARGUMENT", "input 'input': expected shape [any, 3], got [1, 2]"),
        (
            _changed(shape=[2**62, 3]),
            "INVALID_ARGUMENT",
            f"input 'input': shape [{2**62}, 3] has {3 * 2**62} elements, fp32_contents has 3",
        ),
        (
            _changed(contents=pb.InferTensorContents(fp64_contents=[1, 2, 3])),
            "INVALID_ARGUMENT",
            "input 'input': shape [1, 3] has 3 elements, fp32_contents has 0",
        ),
        (
            _changed(raw_input_contents=[bytes(12), bytes(12)]),
            "INVALID_ARGUMENT",
            "raw_input_contents: expected one for each of the 1 inputs, got 2",
        ),
        (
            _changed(raw_input_contents=[bytes(12)]),
            "INVALID_ARGUMENT",
            "input 'input': contents: expected none beside raw_input_contents",
        ),
        (_changed(model_name=""), "NOT_FOUND", "no model '' here; this server has 'demo'"),
        (_changed(model_version="8"), "NOT_FOUND", "no version '8' of 'demo' here; served are '7'"),
        (
            _changed(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="x")]),
            "INVALID_ARGUMENT",
            "no output 'x' here; this model gives 'output'",
        ),
        (
            _changed(parameters={"timeout": _parameter(string_param="1")}),
            "INVALID_ARGUMENT",
            "parameters.timeout: expected microseconds, an integer, got '1'",
        ),
        (
            _changed(parameters={"timeout": _parameter()}),
            "INVALID_ARGUMENT",
            "parameters.timeout: expected microseconds, an integer, got 'None'",
        ),
    ],
)
async def test_wrong_requests(request_: pb.ModelInferRequest, code: str, said: str) -> None:
    async with running() as server, channel(server.target) as calls:
        assert await _code(infer(calls, request_)) == (grpc.StatusCode[code], said)
        assert (await infer(calls, floats())).model_version == "7"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequestError("wrong: 100 % »that«\n"), grpc.StatusCode.INVALID_ARGUMENT),
        (UnknownModelError("gone"), grpc.StatusCode.NOT_FOUND),
        (NotReadyError("soon"), grpc.StatusCode.UNAVAILABLE),
        (OverloadedError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (DeadlineExceededError("late"), grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
async def test_errors_have_their_codes(error: Exception, code: grpc.StatusCode) -> None:
    async with running() as server, channel(server.target, ("grpc.enable_retries", 0)) as calls:
        server.model.fails_with = error
        assert await _code(infer(calls, floats())) == (code, str(error))
        assert server.counted.answers == [("demo", "7", code.name)]


async def test_faults_of_our_own_say_nothing_but_where_to_look(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server, channel(server.target) as calls:
        server.model.fails_with = RuntimeError("the password is 123")
        stub = method(calls, INFER, pb.ModelInferResponse)
        call = stub(floats(), timeout=20, metadata=[("x-request-id", "find-me")])
        code, said = await _code(call)
        assert code is grpc.StatusCode.INTERNAL
        assert said == "internal error; its cause is in the server's log under this call's x-request-id"
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert record.__dict__["request_id"] == "find-me"


async def test_deadlines_reach_the_model() -> None:
    async with running() as server, channel(server.target) as calls:
        loop = asyncio.get_running_loop()
        await infer(calls, floats(), timeout=None)
        await infer(calls, floats(), timeout=100)
        await infer(calls, floats(parameters={"timeout": _parameter(int64_param=50_000_000)}), timeout=100)
        none, of_call, of_request = server.model.deadlines
        assert none is None
        assert of_call is not None
        assert of_request is not None
        # On Linux both clocks are the same.
        assert (round(of_call - loop.time(), -1), round(of_request - loop.time(), -1)) == (100, 50)


async def test_a_call_that_is_given_up_leaves_the_queue() -> None:
    async with running() as server, channel(server.target) as calls:
        await infer(calls, floats())
        server.model.held = True
        assert (await _code(infer(calls, floats(), timeout=0.1)))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        await _until(calls, lambda: server.model.cancelled == 1)
        cancelled = asyncio.create_task(infer(calls, floats()))
        await _until(calls, lambda: bool(server.model.waiting))
        cancelled.cancel()
        await _until(calls, lambda: server.model.cancelled == 2)
        assert server.model.waiting == []
        assert server.counted.answers[1:] == [("demo", "7", "CANCELLED")] * 2


async def test_many_calls_at_once_on_one_connection() -> None:
    async with running() as server, channel(server.target) as calls:
        requests = [floats([number] * 3, id=str(number)) for number in range(1000)]
        responses = await asyncio.gather(*(infer(calls, request) for request in requests))
        assert [response.id for response in responses] == [request.id for request in requests]
        values = [[*response.outputs[0].contents.fp32_contents] for response in responses]
        assert values == [[number] * 3 for number in range(1000)]
        assert server.counted.answers == [("demo", "7", "OK")] * 1000
        assert server.limits.take(1 << 22)


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
async def test_big_messages(compression: grpc.Compression) -> None:
    rows = 3 * (1 << 20)
    raw = np.arange(rows, dtype=np.float32).tobytes()
    tensor = pb.ModelInferRequest.InferInputTensor(name="input", datatype="FP32", shape=[rows // 3, 3])
    request = pb.ModelInferRequest(model_name="demo", inputs=[tensor], raw_input_contents=[raw])
    async with running(body=1 << 24, together=1 << 26) as server, channel(server.target) as calls:
        response = await infer(calls, request, compression=compression)
        assert [*response.raw_output_contents] == [raw]


async def test_a_message_beyond_the_limit_is_refused_at_once() -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="input", datatype="FP32", shape=[1 << 18, 3])
    request = pb.ModelInferRequest(model_name="demo", inputs=[tensor], raw_input_contents=[bytes(12 << 18)])
    async with running() as server, channel(server.target) as calls:
        code, said = await _code(infer(calls, request))
        assert (code, said) == (grpc.StatusCode.RESOURCE_EXHAUSTED, f"message: larger than {1 << 20} bytes")


async def test_keepalive_pings_are_welcome() -> None:
    options = (
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with running() as server, channel(server.target, *options) as calls:
        await infer(calls, floats())
        # A server that minds them ends the connection at the third.
        changed = asyncio.ensure_future(calls.wait_for_state_change(grpc.ChannelConnectivity.READY))
        assert not (await asyncio.wait([changed], timeout=1))[0]
        changed.cancel()
        await infer(calls, floats())


async def test_documents() -> None:
    async with running(_MIXED) as server, channel(server.target) as calls:

        async def ask(name: str, request: Any, response: Any) -> Any:
            return await unary(calls, _SERVICE + name, request, response)

        assert (await ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)).live
        assert (await ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)).ready
        metadata = await ask("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
        assert (metadata.name, metadata.version) == ("inference-platform", VERSION)
        assert "model_repository" in metadata.extensions
        for version in ("", "7"):
            request = pb.ModelReadyRequest(name="demo", version=version)
            assert (await ask("ModelReady", request, pb.ModelReadyResponse)).ready
        document = await ask("ModelMetadata", pb.ModelMetadataRequest(name="demo"), pb.ModelMetadataResponse)
        assert (document.name, [*document.versions], document.platform) == ("demo", ["7"], "onnxruntime_onnx")
        tensors = [(each.name, each.datatype, [*each.shape]) for each in (*document.inputs, *document.outputs)]
        assert tensors == [
            ("city", "BYTES", [-1]),
            ("age", "INT8", [-1, 2]),
            ("city_out", "BYTES", [-1]),
            ("age_out", "INT8", [-1, 2]),
        ]
        for name, request, response in (
            ("ModelReady", pb.ModelReadyRequest(name="x"), pb.ModelReadyResponse),
            ("ModelMetadata", pb.ModelMetadataRequest(name="x"), pb.ModelMetadataResponse),
            ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="x"), pb.RepositoryModelLoadResponse),
            ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(), pb.RepositoryModelUnloadResponse),
        ):
            assert (await _code(ask(name, request, response)))[0] is grpc.StatusCode.NOT_FOUND
        code, said = await _code(ask("ModelStreamInfer", pb.ServerLiveRequest(), pb.ServerLiveResponse))
        assert (code, said) == (
            grpc.StatusCode.UNIMPLEMENTED,
            "no method /inference.GRPCInferenceService/ModelStreamInfer here",
        )


async def test_load_and_unload() -> None:
    async with running() as server, channel(server.target, ("grpc.enable_retries", 0)) as calls:

        async def index(*, ready: bool) -> list[tuple[str, str, str, str]]:
            request = pb.RepositoryIndexRequest(ready=ready)
            answer = await unary(calls, _SERVICE + "RepositoryIndex", request, pb.RepositoryIndexResponse)
            return [(each.name, each.version, each.state, each.reason) for each in answer.models]

        async def ask(name: str, request: Any, response: Any) -> Any:
            return await unary(calls, _SERVICE + name, request, response)

        assert await index(ready=True) == [("demo", "7", "READY", "")]
        unload = pb.RepositoryModelUnloadRequest(model_name="demo")
        await ask("RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse)
        assert await index(ready=True) == []
        assert await index(ready=False) == [("demo", "", "UNAVAILABLE", "it was unloaded")]
        assert not (await ask("ModelReady", pb.ModelReadyRequest(name="demo"), pb.ModelReadyResponse)).ready
        assert await _code(infer(calls, floats())) == (grpc.StatusCode.UNAVAILABLE, "demo: it was unloaded")

        load = pb.RepositoryModelLoadRequest(model_name="demo")
        load.parameters["config"].string_param = "{}"
        code, _ = await _code(ask("RepositoryModelLoad", load, pb.RepositoryModelLoadResponse))
        assert (code, server.looks) == (grpc.StatusCode.INVALID_ARGUMENT, [])
        load.parameters.clear()
        await ask("RepositoryModelLoad", load, pb.RepositoryModelLoadResponse)
        assert server.looks == ["demo"]
        assert await index(ready=True) == [("demo", "7", "READY", "")]
        # As KServe's own definition numbers the fields.
        kserves = pb.RepositoryModelLoadRequest(repository_name="demo")
        await ask("RepositoryModelLoad", kserves, pb.RepositoryModelLoadResponse)
        assert server.looks == ["demo", "demo"]


async def test_a_model_that_is_not_there_yet() -> None:
    async with running() as server, channel(server.target, ("grpc.enable_retries", 0)) as calls:
        server.models.__init__(["demo"])
        load = pb.RepositoryModelLoadRequest(model_name="demo")
        call = unary(calls, _SERVICE + "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse)
        assert await _code(call) == (grpc.StatusCode.UNAVAILABLE, "demo: no model is loaded yet")
        ready = unary(calls, _SERVICE + "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)
        assert not (await ready).ready


async def test_health() -> None:
    async with running() as server, channel(server.target) as calls:
        stub: Any = health_pb2_grpc.HealthStub(calls)
        for service in ("", "inference.GRPCInferenceService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        code, _ = await _code(stub.Check(health_pb2.HealthCheckRequest(service="x")))
        assert code is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="x"), timeout=20)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()
        server.models.drain()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        server.server.drain(20)
        assert (await _code(watch.read()))[0] is grpc.StatusCode.UNAVAILABLE
        await server.server.stop()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(version: str) -> None:
    name = f"grpc.reflection.{version}.ServerReflection"
    reflection: Any = own_reflection
    async with running() as server, channel(server.target) as calls:
        path = f"/{name}/ServerReflectionInfo"
        ask: Any = calls.stream_stream(path, serialized, reflection.ServerReflectionResponse.FromString)
        asked = [
            {"list_services": "*"},
            {"file_containing_symbol": "inference.GRPCInferenceService.ModelInfer"},
            {"file_containing_symbol": "inference.ModelInferRequest.InferInputTensor"},
            {"file_containing_symbol": name},
            {"file_by_filename": "health.proto"},
            {"file_by_filename": "x.proto"},
            {"all_extension_numbers_of_type": "inference.ModelInferRequest"},
        ]
        requests = [reflection.ServerReflectionRequest(host="h", **each) for each in asked]
        answers = [answer async for answer in ask(iter(requests), timeout=20)]
        assert [answer.original_request for answer in answers] == requests
        services = {each.name for each in answers[0].list_services_response.service}
        assert services >= {"inference.GRPCInferenceService", _HEALTH, name}
        files = [
            FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
            for answer in answers[1:5]
        ]
        packages = ["inference", "inference", f"grpc.reflection.{version}", "grpc.health.v1"]
        assert [file.package for file in files] == packages
        assert files[0].service[0].method[5].name == "ModelInfer"
        codes = [answer.error_response.error_code for answer in answers[5:]]
        assert codes == [grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.UNIMPLEMENTED.value[0]]


def test_every_service_describes_itself(shared_server: InferenceServer) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{shared_server.grpc_port}") as calls:
        database = ProtoReflectionDescriptorDatabase(calls)
        pool = descriptor_pool.DescriptorPool(database)
        services = database.get_services()
        assert len(services) == 4
        methods = {method.full_name for service in services for method in pool.FindServiceByName(service).methods}
    assert "inference.GRPCInferenceService.ModelInfer" in methods
    assert len(methods) == 9 + 2 + 1 + 1


def test_messages_in_the_tree_are_what_their_definitions_say() -> None:
    for name, content in generate_rpc.generate().items():
        assert (generate_rpc.FOLDER / name).read_text() == content, (
            "run: .venv/bin/python -m tests.app.support.generate_rpc"
        )


def test_health_and_reflection_have_the_fields_own_numbers() -> None:
    for own, fields_own in ((own_health, health_pb2), (own_reflection, reflection_pb2)):
        for name, message in own.DESCRIPTOR.message_types_by_name.items():
            theirs = fields_own.DESCRIPTOR.message_types_by_name[name]
            assert [(f.name, f.number, f.type) for f in message.fields] == [
                (f.name, f.number, f.type) for f in theirs.fields
            ]


def test_metrics_and_log_tell_of_calls_as_of_rest(shared_server: InferenceServer) -> None:
    series = 'inference_request_total{hardware="cpu",model="demo",status_code="OK",version="1"}'
    before = shared_server.metric(series) or 0
    with grpc.insecure_channel(f"127.0.0.1:{shared_server.grpc_port}") as calls:
        stub = method(calls, INFER, pb.ModelInferResponse)
        stub(floats(), timeout=20, metadata=[("x-request-id", "seen-by-both")])
        with pytest.raises(grpc.RpcError):
            stub(_changed(shape=[1, 2]), timeout=20, metadata=[("x-request-id", "seen-too")])
    assert shared_server.metric(series) == before + 1
    eventually(lambda: shared_server.log_lines(request_id="seen-too"), "the second line")
    (line,) = shared_server.log_lines(request_id="seen-by-both")
    assert line["path"] == INFER
    assert (line["status"], line["model"], line["version"]) == ("OK", "demo", "1")
    assert line["duration_ms"] > 0
    (line,) = shared_server.log_lines(request_id="seen-too")
    assert line["status"] == "INVALID_ARGUMENT"


def test_load_looks_at_the_source(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    with InferenceServer(tmp_path, mlflow.url, INFERENCE_POLL_SECONDS="3600") as server:
        server.await_version("1")
        mlflow.publish("2", models.scaling(3))
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as calls:
            load = method(calls, _SERVICE + "RepositoryModelLoad", pb.RepositoryModelLoadResponse)
            load(pb.RepositoryModelLoadRequest(model_name="demo"), timeout=20)
        assert server.version() == "2"


def test_sigterm_finishes_calls(tmp_path: Path, mlflow: MlflowStandIn) -> None:
    """A call whose message is on its way when the server is told to stop is answered."""
    with InferenceServer(tmp_path, mlflow.url) as server:
        server.await_version("1")
        asyncio.run(_terminate_within_a_call(server))
        assert server.process.wait() == 0
        lines = server.log_lines(path=INFER)
        assert [line["status"] for line in lines] == ["OK"]


async def _terminate_within_a_call(server: InferenceServer) -> None:
    async with http2.Client.connected(server.grpc_port) as client:
        content = http2.message(floats().SerializeToString())
        client.request(1, INFER)
        client.send(http2.frame(http2.DATA, 0, 1, content[:20]))
        assert await client.is_answered()
        server.process.terminate()
        assert (await client.until(http2.GOAWAY)).code == http2.NO_ERROR
        client.send(http2.frame(http2.DATA, http2.END_STREAM, 1, content[20:]))
        assert (await client.answer(1))[1]["grpc-status"] == "0"
        assert await client.end() == http2.NO_ERROR


async def _until(calls: grpc.aio.Channel, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await unary(calls, _SERVICE + "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)


_sizes = st.integers(-1, 4) | st.sampled_from([2**31, 2**32, 2**62, 2**63 - 1])
_texts = st.sampled_from(["", "input", "demo", "output", "FP32", "BYTES", "1"]) | st.text(max_size=4)
_parameters = st.dictionaries(
    st.sampled_from(["timeout", "classification", "x"]),
    st.one_of(
        st.builds(_parameter, bool_param=st.booleans()),
        st.builds(_parameter, int64_param=st.integers(-(2**63), 2**63 - 1)),
        st.builds(_parameter, uint64_param=st.integers(0, 2**64 - 1)),
        st.builds(_parameter, double_param=st.floats()),
        st.builds(_parameter, string_param=st.text(max_size=3)),
    ),
    max_size=1,
)
_contents = st.builds(
    pb.InferTensorContents,
    fp32_contents=st.lists(st.floats(width=32), max_size=6),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=2),
    bytes_contents=st.lists(st.binary(max_size=3), max_size=2),
)
_inputs = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=st.just("input") | _texts,
    datatype=st.just("FP32") | _texts,
    shape=st.just([1, 3]) | st.just([2, 3]) | st.lists(_sizes, max_size=3),
    parameters=_parameters,
    contents=_contents,
)
_requests = st.builds(
    pb.ModelInferRequest,
    model_name=st.just("demo") | _texts,
    model_version=st.just("") | _texts,
    id=_texts,
    parameters=_parameters,
    inputs=st.lists(_inputs, max_size=2),
    outputs=st.lists(st.builds(pb.ModelInferRequest.InferRequestedOutputTensor, name=_texts), max_size=2),
    raw_input_contents=st.just([]) | st.lists(st.binary(max_size=24), max_size=2),
).map(lambda request: request.SerializeToString())
_EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_METHODS = [
    method.name
    for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    if method.name != "RepositoryModelUnload"  # would have its way
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_requests | st.binary(max_size=60), name=st.just("ModelInfer") | st.sampled_from(_METHODS))
def test_no_message_is_too_much(fuzzed: Any, content: bytes, name: str) -> None:
    call: Any = fuzzed.unary_unary(_SERVICE + name, None, None).with_call
    assert _ended_with(call, content) in _EXPECTED


def _ended_with(call: Any, content: bytes) -> grpc.StatusCode:
    try:
        _, ended = call(content, timeout=20)
    except grpc.RpcError as error:
        ended = cast("Any", error)
    return ended.code()


@pytest.fixture(scope="module")
def fuzzed(shared_server: InferenceServer) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{shared_server.grpc_port}") as calls:
        yield calls
