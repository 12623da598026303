"""The health service that Kubernetes' gRPC probes and load balancers ask.

Source: gRPC, "GRPC Health Checking Protocol".
"""

import asyncio
from functools import partial

from inference_app.errors import UnknownModelError
from inference_app.model import Models
from inference_app.rpc import health_pb2 as pb
from inference_app.rpc.call import Call, Method
from inference_app.rpc.service import SERVICE, parsed, unary

HEALTH = "grpc.health.v1.Health"

_LOOK_SECONDS = 0.5  # between two looks at what a watcher waits for
_Status = pb.HealthCheckResponse.ServingStatus


class Health:
    """Healthy is a server that is ready; the services known are the whole server (no name) and V2."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def methods(self) -> dict[str, Method]:
        """Each method by path."""
        return {
            f"/{HEALTH}/Check": unary(pb.HealthCheckRequest, self._check),
            f"/{HEALTH}/Watch": Method(self._watch, lasts=True),
        }

    def _status(self, service: str) -> _Status:
        if service not in {"", SERVICE}:
            return pb.HealthCheckResponse.SERVICE_UNKNOWN
        ready = self._models.not_ready_because is None
        return pb.HealthCheckResponse.SERVING if ready else pb.HealthCheckResponse.NOT_SERVING

    def _check(self, request: pb.HealthCheckRequest) -> pb.HealthCheckResponse:
        status = self._status(request.service)
        if status == pb.HealthCheckResponse.SERVICE_UNKNOWN:
            raise UnknownModelError(f"no service {request.service[:128]!r} here")
        return pb.HealthCheckResponse(status=status)

    def _watch(self, call: Call, message: bytes) -> None:
        self._look(call, parsed(pb.HealthCheckRequest, message).service, None)

    def _look(self, call: Call, service: str, known: _Status | None) -> None:
        status = self._status(service)
        if status != known:
            call.send(pb.HealthCheckResponse(status=status).SerializeToString())
        if call.is_open:
            again = partial(self._look, call, service, status)
            call.on_cancel = asyncio.get_running_loop().call_later(_LOOK_SECONDS, again).cancel
