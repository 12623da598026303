"""The gRPC server: a port, and the services behind it."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from grpc_health.v1 import health_pb2

from inference_app.model import Models
from inference_app.rpc import inference_pb2
from inference_app.rpc.call import Method
from inference_app.rpc.connection import Connection, Host
from inference_app.rpc.health import HEALTH, Health
from inference_app.rpc.inference import Inference
from inference_app.rpc.observer import Observer
from inference_app.rpc.reflection import Reflection
from inference_app.rpc.service import SERVICE, Service
from inference_app.traces import Tracer

_CALLS: Final = 1024  # at the same time on one connection
_BUFFERED_MESSAGES: Final = 16  # of the largest size, incomplete, over all connections
_IDLE_SECONDS: Final = 60  # until TCP asks whether a silent client is still there
_BACKLOG: Final = 1024


class GrpcServer:
    """V2, health and reflection over gRPC, without TLS.

    Args:
        models: What is served.
        host: The address to listen on.
        port: The port to listen on; 0 for any.
        max_message_bytes: The largest message that is taken.
        observer: Who is told of requests.
        tracer: Who traces them, if somebody does.
    """

    def __init__(  # noqa: PLR0913 - what a server has to know
        self,
        models: Models,
        *,
        host: str,
        port: int,
        max_message_bytes: int,
        observer: Observer,
        tracer: Tracer | None = None,
    ) -> None:
        files = (inference_pb2.DESCRIPTOR.serialized_pb, health_pb2.DESCRIPTOR.serialized_pb)
        methods = {
            **Service(models).methods(),
            **Health(models).methods(),
            **Reflection((SERVICE, HEALTH), files).methods(),
            f"/{SERVICE}/ModelInfer".encode(): Method(Inference(models, observer, tracer).handle),
        }
        self._host = Host(methods, max_message_bytes, max_message_bytes * _BUFFERED_MESSAGES, _CALLS)
        self._address = (host, port)
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the address cannot be had.
        """
        host, port = self._address
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._host), host, port, backlog=_BACKLOG
        )
        listening = self._listener.sockets[0]
        # Connections take these over from the socket that listens.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with suppress(AttributeError):  # not every system has a name for it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
        return int(listening.getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Take no more connections, answer what has begun, and end what is not answered in time."""
        if self._listener is None:
            return
        self._listener.close()
        for connection in [*self._host.connections]:
            connection.drain()
        if self._host.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._host.is_empty.wait(), grace_seconds)
        for connection in [*self._host.connections]:
            connection.abort()
        self._listener = None
