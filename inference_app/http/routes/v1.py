"""The V1 protocol's documents: what is here, and in which state.

Source: TensorFlow Serving, "RESTful API", Model status API; KServe, "V1 Protocol", List, Readiness and
Liveness, which its clients look for at the root.
"""

from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from inference_app.http.documentation import Schema, answers, record
from inference_app.http.routes.documents import json_response
from inference_app.model import Models, ServedModel


def v1_routes(models: Models) -> APIRouter:
    """List and status, TensorFlow Serving's and KServe's in one document."""
    router = APIRouter(tags=["V1"])

    text: Schema = {"type": "string"}
    names = record({"models": {"type": "array", "items": text}})
    state = record({"version": text, "state": text, "status": record({"error_code": text, "error_message": text})})
    ready: Schema = {"type": "boolean"}
    described = record({"name": text, "ready": ready, "model_version_status": {"type": "array", "items": state}})

    @router.get("/", summary="Alive", responses=answers(ok=record({"status": text})))
    async def live() -> Response:
        return json_response({"status": "alive"})

    @router.get("/v1/models", summary="The models here", responses=answers(ok=names))
    async def index() -> Response:
        return json_response({"models": [slot.name for slot in models]})

    @router.get("/v1/models/{name}", summary="A model's status", responses=answers(404, 405, 503, ok=described))
    async def status(name: str) -> Response:
        _refuse_verb(name)
        default = models.find(name)
        slot = models.slot(name)
        versions = slot.versions if slot is not None else ()
        # The default first: clients of one version look no further.
        ordered = sorted(versions, key=lambda served: served.version != default.version)
        return json_response(_status(name, ordered))

    @router.get(
        "/v1/models/{name}/versions/{version}",
        summary="A version's status",
        responses=answers(404, 405, 503, ok=described),
    )
    async def version_status(name: str, version: str) -> Response:
        _refuse_verb(version)
        return json_response(_status(name, [models.find(name, version)]))

    return router


def _refuse_verb(segment: str) -> None:
    if segment.endswith(":predict"):
        raise HTTPException(405, "Method Not Allowed", {"allow": "POST"})


def _status(name: str, versions: list[ServedModel]) -> dict[str, Any]:
    fine = {"error_code": "OK", "error_message": ""}
    states = [{"version": served.version, "state": "AVAILABLE", "status": fine} for served in versions]
    return {"name": name, "ready": True, "model_version_status": states}
