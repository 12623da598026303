"""The gRPC server: a port, and the services behind it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from inference_app.limits import BodyLimits
from inference_app.model import Models
from inference_app.rpc import health_pb2, inference_pb2
from inference_app.rpc.call import Method
from inference_app.rpc.connection import Connection, Host
from inference_app.rpc.health import HEALTH, Health
from inference_app.rpc.inference import Inference
from inference_app.rpc.record import Record
from inference_app.rpc.reflection import Reflection
from inference_app.rpc.service import SERVICE, Service

_CALLS: Final = 1024  # at the same time on one connection
_IDLE_SECONDS: Final = 60  # until TCP asks whether a silent client is still there
_BACKLOG: Final = 1024


class GrpcServer:
    """V2, health and reflection over gRPC, without TLS.

    Args:
        models: What is served.
        address: The host and port to listen on; port 0 for any.
        limits: How much of messages is taken, and how slowly; shared with whoever else receives requests.
        record: Told of each call that ended, and of inferences that begin.
        look_now: Has a model's source looked at without delay; done when that look is.
    """

    def __init__(
        self,
        models: Models,
        *,
        address: tuple[str, int],
        limits: BodyLimits,
        record: Record,
        look_now: Callable[[str], Awaitable[object]],
    ) -> None:
        files = (inference_pb2.DESCRIPTOR.serialized_pb, health_pb2.DESCRIPTOR.serialized_pb)
        methods = {
            **Service(models, look_now).methods(),
            **Health(models).methods(),
            **Reflection((SERVICE, HEALTH), files).methods(),
            f"/{SERVICE}/ModelInfer": Method(Inference(models, record).handle, infers=True),
        }
        self._host = Host(methods, limits, _CALLS, record.ended)
        self._address = address
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the address cannot be had.
        """
        host, port = self._address
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self._host), host, port, backlog=_BACKLOG)
        self._sweeper = loop.call_later(self._host.limits.seconds, self._sweep)
        listening = self._listener.sockets[0]
        # Connections take these over from the socket that listens.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with suppress(AttributeError):  # not every system has a name for it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
        return int(listening.getsockname()[1])

    def drain(self, grace_seconds: float) -> None:
        """Take no more connections, close each when what has begun on it is answered, and all of them in so long."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        for connection in [*self._host.connections]:
            connection.drain()
        asyncio.get_running_loop().call_later(grace_seconds, self._abort)

    async def stop(self) -> None:
        """Wait for the end of the draining."""
        if self._host.connections:
            await self._host.is_empty.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _abort(self) -> None:
        for connection in [*self._host.connections]:
            connection.abort()

    def _sweep(self) -> None:
        for connection in [*self._host.connections]:
            connection.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(self._host.limits.seconds, self._sweep)
