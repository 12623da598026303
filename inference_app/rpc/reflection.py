"""The reflection service, by which tools such as grpcurl find what can be called.

Source: gRPC, "GRPC Server Reflection Protocol"; the messages of v1 are those of v1alpha under another name.
"""

from collections.abc import Sequence

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToJson, Parse

from inference_app.rpc import reflection_pb2 as pb
from inference_app.rpc.call import Call, Method
from inference_app.rpc.service import parsed
from inference_app.rpc.status import Status

_PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_SERVICES = tuple(f"{package}.ServerReflection" for package in _PACKAGES)


class Reflection:
    """Tells of services.

    Args:
        services: Their full names.
        files: Descriptors of the files that they and their messages are in, serialized; none depends on another.
    """

    def __init__(self, services: Sequence[str], files: Sequence[bytes]) -> None:
        self._services = services
        self._pool = DescriptorPool()
        for file in (*files, pb.DESCRIPTOR.serialized_pb, _alpha(pb.DESCRIPTOR.serialized_pb)):
            self._pool.AddSerializedFile(file)

    def methods(self) -> dict[str, Method]:
        """The method, by its path in either version."""
        return {f"/{service}/ServerReflectionInfo": Method(self._handle, streams=True) for service in _SERVICES}

    def _handle(self, call: Call, message: bytes) -> None:
        request = parsed(pb.ServerReflectionRequest, message)
        response = self._answer(request)
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        call.send(response.SerializeToString())

    def _answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        match request.WhichOneof("message_request"):
            case "list_services":
                services = [pb.ServiceResponse(name=name) for name in (*self._services, *_SERVICES)]
                return pb.ServerReflectionResponse(list_services_response=pb.ListServiceResponse(service=services))
            case "file_containing_symbol":
                return self._file(request.file_containing_symbol, by_name=False)
            case "file_by_filename":
                return self._file(request.file_by_filename, by_name=True)
            case _:
                return _error(Status.UNIMPLEMENTED, "there are no extensions here")

    def _file(self, name: str, *, by_name: bool) -> pb.ServerReflectionResponse:
        try:
            file = self._pool.FindFileByName(name) if by_name else self._containing(name)
        except KeyError:
            return _error(Status.NOT_FOUND, f"nothing is known of {name[:128]!r}")
        found = pb.FileDescriptorResponse(file_descriptor_proto=[file.serialized_pb])
        return pb.ServerReflectionResponse(file_descriptor_response=found)

    def _containing(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:  # it knows no methods
            return self._pool.FindMethodByName(symbol).containing_service.file


def _error(status: Status, message: str) -> pb.ServerReflectionResponse:
    return pb.ServerReflectionResponse(error_response=pb.ErrorResponse(error_code=status, error_message=message))


def _alpha(file: bytes) -> bytes:
    """The description of v1alpha, made from that of v1."""
    text = MessageToJson(FileDescriptorProto.FromString(file))
    text = text.replace(_PACKAGES[0], _PACKAGES[1]).replace("reflection.proto", "reflection_v1alpha.proto")
    return Parse(text, FileDescriptorProto()).SerializeToString()
