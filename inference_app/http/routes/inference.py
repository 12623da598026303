"""Inference on the ASGI way: what the lane leaves to it, and what the OpenAPI document says of inference."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inference_app.errors import ServingError
from inference_app.http.body import whole_body
from inference_app.http.errors import as_response
from inference_app.http.inference import JSON_SIZE_HEADER, Inference
from inference_app.http.reply import Reply
from inference_app.limits import BodyLimits
from inference_app.logs import request_id, trace_id
from inference_app.model import ServedModel

_JSON_SIZE = JSON_SIZE_HEADER.decode()


def inference_routes(inference: Inference, limits: BodyLimits) -> APIRouter:
    """Inference in every protocol."""
    router = APIRouter(tags=["inference"])

    async def infer(request: Request) -> Response:
        route = inference.route(request.url.path)
        if route is None:
            raise HTTPException(404, "Not Found")
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def reply(answer: Reply, served: ServedModel | None) -> None:
            request.state.served = served
            request.state.trace_id = trace_id.get()
            if not answered.done():
                answered.set_result(answer)

        try:
            async with whole_body(request, limits) as body:
                size = request.headers.get(_JSON_SIZE)
                json_size = size.encode("latin-1") if size else None
                pending = inference.start(route, body, request.headers.raw, json_size, request_id.get(), reply)
                try:
                    return as_response(await answered)
                finally:
                    if pending is not None:
                        pending.cancel()
        except ServingError as error:
            return as_response(inference.refuse(error))

    def add(path: str, summary: str, body: dict[str, Any], *, name: str) -> None:
        router.add_api_route(path, infer, methods=["POST"], summary=summary, openapi_extra=body, name=name)

    rows: dict[str, Any] = {"type": "array", "items": {}}
    columns = {"description": "a tensor, or an object of tensors by input"}
    v1 = _json({"type": "object", "properties": {"instances": rows, "inputs": columns}})
    add("/v1/models/{name}:predict", "Infer (V1)", v1, name="infer_v1")
    add("/v1/models/{name}/versions/{version}:predict", "Infer with a version (V1)", v1, name="infer_v1_version")
    tensor: dict[str, Any] = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": {}},
        },
    }
    v2 = _json(
        {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": "string"},
                "parameters": {"type": "object"},
                "inputs": {"type": "array", "items": tensor, "minItems": 1},
                "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            },
        },
        "application/octet-stream",
    )
    add("/v2/models/{name}/infer", "Infer (Open Inference Protocol)", v2, name="infer_v2")
    add("/v2/models/{name}/versions/{version}/infer", "Infer with a version", v2, name="infer_v2_version")
    plain = _json({"type": "object", "required": ["data"], "properties": {"data": rows}})
    add("/predict", "Infer (plain), where there is one model", plain, name="infer_plain")
    return router


def _json(schema: dict[str, Any], *others: str) -> dict[str, Any]:
    """The OpenAPI description of a body; the codecs read it themselves, at a fraction of what pydantic costs."""
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    content.update({other: {"schema": {"type": "string", "format": "binary"}} for other in others})
    answers = {
        str(status): {"description": meaning}
        for status, meaning in {
            400: "the request is wrong; `error` names the field, the row and what was expected",
            404: "no such model or version here",
            408: "the body did not arrive in time",
            413: "the body is too large",
            429: "too much is waiting; see Retry-After",
            503: "not ready yet; see Retry-After",
            504: "the request's own time limit passed",
        }.items()
    }
    return {"requestBody": {"required": True, "content": content}, "responses": answers}
