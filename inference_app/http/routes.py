"""The routes: inference and model status in the V1 protocol, `/predict`, probes and metrics."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inference_app.http.inference import Inference
from inference_app.protocols import PlainCodec, V1Codec

_VERB = ":predict"


def inference_routes(inference: Inference) -> APIRouter:
    """Inference in the V1 protocol and in the plain one, and the V1 documents on what is served."""
    router = APIRouter(tags=["inference"])
    v1, plain = V1Codec(), PlainCodec()

    @router.post(f"/v1/models/{{name}}{_VERB}", summary="Infer (V1 protocol)", openapi_extra=_body("instances"))
    async def predict_v1(name: str, request: Request) -> Response:
        return await inference.answer(request, v1, name)

    @router.post("/predict", summary="Infer (plain)", openapi_extra=_body("data"))
    async def predict(request: Request) -> Response:
        return await inference.answer(request, plain)

    @router.get("/v1/models", summary="The models here")
    async def models() -> Response:
        return _json({"models": [inference.name]})

    @router.get("/v1/models/{name}", summary="A model's status (TensorFlow Serving's and KServe's in one)")
    async def status(name: str) -> Response:
        if name.endswith(_VERB):
            raise HTTPException(405, "Method Not Allowed", {"allow": "POST"})
        inference.require_known(name)
        served = inference.slot.current
        if served is None:
            return inference.unavailable()
        state = {"version": served.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return _json({"name": served.name, "ready": True, "model_version_status": [state]})

    return router


def operations_routes(inference: Inference) -> APIRouter:
    """Probes and metrics, for whoever runs the server."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Alive: the event loop turns")
    async def alive() -> Response:
        return _json({"status": "alive"})

    @router.get("/readyz", summary="Ready: a model is served and the server is not shutting down")
    async def ready() -> Response:
        reason = inference.slot.not_ready_because
        return _json({"status": "ready"}) if reason is None else inference.unavailable()

    @router.get("/metrics", summary="Metrics in Prometheus' text format")
    async def metrics() -> Response:
        return Response(inference.metrics.exposition(), media_type=inference.metrics.content_type)

    return router


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


def _body(field: str) -> dict[str, Any]:
    """The OpenAPI description of a body that holds rows; the handlers read it themselves, at a fraction of the cost."""
    schema: dict[str, Any] = {
        "type": "object",
        "required": [field],
        "properties": {field: {"type": "array", "items": {}}},
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
