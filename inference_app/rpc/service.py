"""The methods of V2 other than ModelInfer: what is live, ready and served here, and to load and unload.

Source: Open Inference Protocol, "GRPC"; Triton Inference Server, "Model Repository Extension".
"""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from inference_app import SERVER, VERSION
from inference_app.errors import InvalidRequestError, NotReadyError, UnknownModelError
from inference_app.model import Models, ModelSlot
from inference_app.protocols import v2_documents
from inference_app.rpc import inference_pb2 as pb
from inference_app.rpc.call import Call, Method

SERVICE = "inference.GRPCInferenceService"

_Request = TypeVar("_Request", bound=Message)


def unary(request_type: type[_Request], answer: Callable[[_Request], Message]) -> Method:
    """A method that answers at once; what it raises becomes the call's status."""

    def handle(call: Call, message: bytes) -> None:
        try:
            request = request_type.FromString(message)
        except DecodeError:
            raise InvalidRequestError(f"message: not a {request_type.DESCRIPTOR.name}") from None
        call.answer(answer(request).SerializeToString())

    return Method(handle)


class Service:
    """The answers.

    Args:
        models: What is served.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._metadata = v2_documents.server_metadata(SERVER, VERSION)

    def methods(self) -> dict[bytes, Method]:
        """Each method by path."""
        methods = {
            "ServerLive": unary(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": unary(pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": unary(pb.ServerMetadataRequest, lambda _: pb.ServerMetadataResponse(**self._metadata)),
            "ModelReady": unary(pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": unary(pb.ModelMetadataRequest, self._model_metadata),
            "RepositoryIndex": unary(pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": unary(pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": unary(pb.RepositoryModelUnloadRequest, self._unload),
        }
        return {f"/{SERVICE}/{name}".encode(): method for name, method in methods.items()}

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

    def _load(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        slot = self._slot(request.model_name)
        if request.parameters:
            raise InvalidRequestError("parameters: expected none; this server's settings say what a model is")
        slot.offer()
        return pb.RepositoryModelLoadResponse()

    def _unload(self, request: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        self._slot(request.model_name).withdraw()
        return pb.RepositoryModelUnloadResponse()

    def _slot(self, name: str) -> ModelSlot:
        slot = self._models.slot(name)
        if slot is None:
            raise UnknownModelError(f"no model {name[:128]!r} here")
        return slot
