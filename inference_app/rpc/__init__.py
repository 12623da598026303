"""The V2 protocol over gRPC. Knows no HTTP routes, engine or registry."""

from inference_app.rpc.observer import Observer
from inference_app.rpc.server import GrpcServer

__all__ = ["GrpcServer", "Observer"]
