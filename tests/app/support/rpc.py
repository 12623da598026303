"""The gRPC server in the test's own event loop, and requests for it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from inference_app.access_log import AccessLog
from inference_app.limits import BodyLimits
from inference_app.model import Datatype, Models, ServedModel, Signature
from inference_app.rpc import GrpcServer, Record
from inference_app.rpc import inference_pb2 as pb
from tests.app.support.served import EchoModel, spec

INFER = "/inference.GRPCInferenceService/ModelInfer"
FLOATS = Signature((spec(Datatype.FP32, None, 3),), (spec(Datatype.FP32, None, 3, name="output"),))


@dataclass
class Counted:
    """What the server told of inferences.

    Attributes:
        answers: Model, version and status of each.
        successes: How many were timed.
    """

    answers: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    successes: int = 0

    def answered(self, model: str, version: str, status: str) -> None:
        self.answers.append((model, version, status))

    def inferred(self, model: str, version: str, quantized: bool, seconds: float) -> None:
        assert (model, version, quantized) == ("demo", "7", False)
        assert seconds > 0
        self.successes += 1


@dataclass
class Running:
    """A server that runs.

    Attributes:
        server: It.
        port: Where.
        models: What it serves: `demo`, version 7.
        model: That.
        limits: What it takes.
        counted: What it told.
        looks: The models whose sources it had looked at.
    """

    server: GrpcServer
    port: int
    models: Models
    model: EchoModel
    limits: BodyLimits
    counted: Counted
    looks: list[str]

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def running(
    signature: Signature = FLOATS, *, body: int = 1 << 20, together: int = 1 << 22, seconds: float = 60
) -> AsyncGenerator[Running]:
    """Serve a model that gives its inputs back."""
    models, model = Models(["demo"]), EchoModel(signature)
    slot = models.slot("demo")
    assert slot is not None
    slot.switch(ServedModel("demo", "7", model))
    limits, counted, looks = BodyLimits(body, together, seconds), Counted(), list[str]()

    async def look_now(name: str) -> None:
        looks.append(name)

    record = Record(counted, AccessLog(100_000))
    server = GrpcServer(models, address=("127.0.0.1", 0), limits=limits, record=record, look_now=look_now)
    port = await server.start()
    try:
        yield Running(server, port, models, model, limits, counted, looks)
    finally:
        server.drain(0)
        await server.stop()


def channel(target: str, *options: tuple[str, int]) -> grpc.aio.Channel:
    """One with a connection of its own, that takes messages of any size."""
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    return grpc.aio.insecure_channel(target, [*own, *options])


def method(calls: Any, path: str, response: Any) -> Any:
    """A unary method, whose stub takes any message."""
    return calls.unary_unary(path, serialized, response.FromString)


def serialized(message: Message) -> bytes:
    return message.SerializeToString()


def floats(values: Sequence[float] = (1, 2.5, -3), **fields: object) -> pb.ModelInferRequest:
    """A request for `demo` with typed contents, rows of three."""
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="input",
        datatype="FP32",
        shape=[len(values) // 3, 3],
        contents=pb.InferTensorContents(fp32_contents=values),
    )
    return pb.ModelInferRequest(**{"model_name": "demo", "inputs": [tensor], **fields})  # pyright: ignore[reportArgumentType]
