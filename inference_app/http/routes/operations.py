"""Probes, metrics and webhooks, for whoever runs the server."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from inference_app.errors import NotReadyError
from inference_app.http.body import whole_body
from inference_app.http.documentation import answers, record
from inference_app.http.routes.documents import json_response
from inference_app.limits import BodyLimits
from inference_app.model import Models


def operations_routes(models: Models, exposition: Callable[[], tuple[bytes, str]]) -> APIRouter:
    """Probes and metrics.

    Args:
        models: What is served.
        exposition: The metrics' text and its media type.
    """
    router = APIRouter(tags=["operations"])

    status = record({"status": {"type": "string"}})

    @router.get("/healthz", summary="Alive: the event loop turns", responses=answers(ok=status))
    async def alive() -> Response:
        return json_response({"status": "alive"})

    @router.get(
        "/readyz",
        summary="Ready: every model is served and the server is not shutting down",
        responses=answers(503, ok=status),
    )
    async def ready() -> Response:
        if (reason := models.not_ready_because) is not None:
            raise NotReadyError(f"not ready: {reason}")
        return json_response({"status": "ready"})

    text = {"text/plain": {"type": "string"}}

    @router.get(
        "/metrics",
        summary="Metrics in Prometheus' text format",
        responses=answers(ok={}, others=text),
        response_class=PlainTextResponse,
    )
    async def metrics() -> Response:
        text, media_type = exposition()
        return Response(text, media_type=media_type)

    return router


def webhook_routes(receive: Callable[[Mapping[str, str], bytes], str | None], limits: BodyLimits) -> APIRouter:
    """MLflow's webhooks: a change of an alias is seen at once instead of at the next look.

    Args:
        receive: Takes headers and body; why it refuses them, None if it doesn't.
        limits: Bounds of the body.
    """
    router = APIRouter(tags=["operations"])

    @router.post(
        "/webhooks/mlflow",
        summary="MLflow tells of a change (signed)",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": record({})}}}},
        responses=answers(401, 408, 413, 429, ok=record({})),
    )
    async def mlflow(request: Request) -> Response:
        async with whole_body(request, limits) as body:
            refusal = receive(request.headers, body)
        response = json_response({} if refusal is None else {"error": refusal})
        response.status_code = 200 if refusal is None else 401
        return response

    return router
