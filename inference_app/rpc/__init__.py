"""The V2 protocol over gRPC. Knows no HTTP routes, engine or registry."""

from inference_app.rpc.record import Record
from inference_app.rpc.server import GrpcServer

__all__ = ["GrpcServer", "Record"]
