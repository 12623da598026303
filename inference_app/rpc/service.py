"""The methods of V2 other than ModelInfer: what is live, ready and served here, and to load and unload.

Source: Open Inference Protocol, "GRPC"; Triton Inference Server, "Model Repository Extension".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from inference_app import SERVER, VERSION
from inference_app.errors import InvalidRequestError, NotReadyError, UnknownModelError
from inference_app.model import Models, ModelSlot
from inference_app.protocols import v2_documents
from inference_app.rpc import inference_pb2 as pb
from inference_app.rpc.call import Call, Method
from inference_app.rpc.failures import fail

SERVICE = "inference.GRPCInferenceService"

_Request = TypeVar("_Request", bound=Message)


def unary(request_type: type[_Request], answer: Callable[[_Request], Message]) -> Method:
    """A method that answers at once; what it raises becomes the call's status."""

    def handle(call: Call, message: bytes) -> None:
        call.answer(answer(parsed(request_type, message)).SerializeToString())

    return Method(handle)


def parsed(request_type: type[_Request], message: bytes) -> _Request:
    """A request as it was sent.

    Raises:
        InvalidRequestError: it is none of this type.
    """
    try:
        return request_type.FromString(message)
    except DecodeError:
        raise InvalidRequestError(f"message: not a {request_type.DESCRIPTOR.name}") from None


class Service:
    """The answers.

    Args:
        models: What is served.
        look_now: Has a model's source looked at without delay; done when that look is.
    """

    def __init__(self, models: Models, look_now: Callable[[str], Awaitable[object]]) -> None:
        self._models = models
        self._look_now = look_now
        self._loads: set[asyncio.Task[None]] = set()
        self._metadata = v2_documents.server_metadata(SERVER, VERSION)

    def methods(self) -> dict[str, Method]:
        """Each method by path."""
        methods = {
            "ServerLive": unary(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": unary(pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": unary(pb.ServerMetadataRequest, lambda _: pb.ServerMetadataResponse(**self._metadata)),
            "ModelReady": unary(pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": unary(pb.ModelMetadataRequest, self._model_metadata),
            "RepositoryIndex": unary(pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": Method(self._load),
            "RepositoryModelUnload": unary(pb.RepositoryModelUnloadRequest, self._unload),
        }
        return {f"/{SERVICE}/{name}": method for name, method in methods.items()}

    def _server_ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._models.not_ready_because is None)

    def _model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        try:
            self._models.find(request.name, request.version or None)
        except NotReadyError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def _model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        served = self._models.find(request.name, request.version or None)
        versions = [each.version for each in self._slot(request.name).versions]
        document = v2_documents.model_metadata(served, versions)
        inputs, outputs = (
            [
                pb.ModelMetadataResponse.TensorMetadata(
                    name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
                )
                for tensor in document.pop(side)
            ]
            for side in ("inputs", "outputs")
        )
        return pb.ModelMetadataResponse(**document, inputs=inputs, outputs=outputs)

    def _index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        entries = v2_documents.repository_index([*self._models], ready_only=request.ready)
        return pb.RepositoryIndexResponse(models=[pb.RepositoryIndexResponse.ModelIndex(**entry) for entry in entries])

    def _load(self, call: Call, message: bytes) -> None:
        request = parsed(pb.RepositoryModelLoadRequest, message)
        if request.parameters:
            raise InvalidRequestError("parameters: expected none; this server's settings say what a model is")
        name = request.model_name or request.repository_name
        self._slot(name).offer()
        load = asyncio.get_running_loop().create_task(self._answer_load(call, name))
        self._loads.add(load)
        load.add_done_callback(self._loads.discard)
        call.on_cancel = load.cancel

    async def _answer_load(self, call: Call, name: str) -> None:
        try:
            await self._look_now(name)
            self._models.find(name)
        except Exception as error:  # whatever it is, the call fails with it
            fail(call, error)
        else:
            call.answer(pb.RepositoryModelLoadResponse().SerializeToString())

    def _unload(self, request: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        self._slot(request.model_name or request.repository_name).withdraw()
        return pb.RepositoryModelUnloadResponse()

    def _slot(self, name: str) -> ModelSlot:
        slot = self._models.slot(name)
        if slot is None:
            raise UnknownModelError(f"no model {name[:128]!r} here")
        return slot
