"""The Open Inference Protocol's (V2) documents, and its model repository extension.

Source: Open Inference Protocol, REST; Triton, "Model Repository Extension".
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from inference_app import SERVER, VERSION
from inference_app.errors import InvalidRequestError, UnknownModelError
from inference_app.http.body import whole_body
from inference_app.http.documentation import BODY_ERRORS, Schema, answers, record
from inference_app.http.routes.documents import json_response
from inference_app.limits import BodyLimits
from inference_app.model import Models, ModelSlot
from inference_app.protocols.codec import describe, json_object
from inference_app.protocols.v2_documents import model_metadata, repository_index, server_metadata

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}


def v2_routes(models: Models) -> APIRouter:
    """Health and metadata."""
    router = APIRouter(prefix="/v2", tags=["V2"])
    texts: Schema = {"type": "array", "items": _TEXT}
    about = record({"name": _TEXT, "version": _TEXT, "extensions": texts})
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": -1}}
    tensors: Schema = {"type": "array", "items": record({"name": _TEXT, "datatype": _TEXT, "shape": shape})}
    described = record({"name": _TEXT, "versions": texts, "platform": _TEXT, "inputs": tensors, "outputs": tensors})
    readiness = record({"ready": _FLAG}, error=_TEXT)
    model_readiness = record({"name": _TEXT, "ready": _FLAG})

    @router.get("", summary="This server", responses=answers(ok=about))
    async def server() -> Response:
        return json_response(server_metadata(SERVER, VERSION))

    @router.get("/health/live", summary="Alive", responses=answers(ok=record({"live": _FLAG})))
    async def live() -> Response:
        return json_response({"live": True})

    not_ready = {"description": "not ready", "content": {"application/json": {"schema": readiness}}}

    @router.get("/health/ready", summary="Ready", responses={**answers(ok=readiness), 503: not_ready})
    async def ready() -> Response:
        reason = models.not_ready_because
        return _readiness(reason is None, "ready", reason)

    @router.get("/models/{name}", summary="A model's tensors", responses=answers(404, 503, ok=described))
    @router.get(
        "/models/{name}/versions/{version}",
        summary="A version's tensors",
        responses=answers(404, 503, ok=described),
    )
    async def metadata(name: str, version: str | None = None) -> Response:
        versions = [served.version for served in _slot(models, name).versions]
        return json_response(model_metadata(models.find(name, version), versions))

    @router.get(
        "/models/{name}/ready",
        summary="Whether a model is served",
        responses=answers(404, 503, ok=model_readiness),
    )
    @router.get(
        "/models/{name}/versions/{version}/ready",
        summary="Whether a version is served",
        responses=answers(404, 503, ok=model_readiness),
    )
    async def model_ready(name: str, version: str | None = None) -> Response:
        models.find(name, version)
        return json_response({"name": name, "ready": True})

    return router


def repository_routes(models: Models, look_now: Callable[[str], Awaitable[object]], limits: BodyLimits) -> APIRouter:
    """Index, load and unload.

    Args:
        models: What is served.
        look_now: Has a model's source looked at without delay; done when that look is.
        limits: Bounds of bodies.
    """
    router = APIRouter(prefix="/v2/repository", tags=["V2"])

    entry = record({"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT})
    options = {"content": {"application/json": {"schema": record({}, ready=_FLAG)}}}

    @router.post(
        "/index",
        summary="Every model, served or not",
        openapi_extra={"requestBody": options},
        responses=answers(*BODY_ERRORS, ok={"type": "array", "items": entry}),
    )
    async def index(request: Request) -> Response:
        async with whole_body(request, limits) as body:
            options = json_object(body, '"ready"') if body else {}
        ready_only = options.get("ready", False)
        if not isinstance(ready_only, bool):
            raise InvalidRequestError(f"ready: expected true or false, got {describe(ready_only)}")
        return json_response(repository_index(list(models), ready_only=ready_only))

    @router.post(
        "/models/{name}/load",
        summary="Serve a model (again), and look at its source now",
        responses=answers(404, 503, ok=record({})),
    )
    async def load(name: str) -> Response:
        _slot(models, name).offer()
        await look_now(name)
        models.find(name)
        return json_response({})

    @router.post(
        "/models/{name}/unload",
        summary="Serve a model no more, until it is loaded",
        responses=answers(404, ok=record({})),
    )
    async def unload(name: str) -> Response:
        _slot(models, name).withdraw()
        return json_response({})

    return router


def _slot(models: Models, name: str) -> ModelSlot:
    slot = models.slot(name)
    if slot is None:
        raise UnknownModelError(f"no model {name[:128]!r} here")
    return slot


def _readiness(is_ready: bool, what: str, reason: str | None) -> Response:
    response = json_response({what: is_ready} if reason is None else {what: is_ready, "error": reason})
    response.status_code = 200 if is_ready else 503
    return response
