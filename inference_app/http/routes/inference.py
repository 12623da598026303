"""Inference on the ASGI way: what the lane leaves to it, and what the OpenAPI document says of inference."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from inference_app.errors import ServingError
from inference_app.http.body import whole_body
from inference_app.http.documentation import BODY_ERRORS, Schema, answers, path_parameters, record
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
        route = inference.route(request.scope["path"])
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
                json_size = size.encode("latin-1") if size is not None else None
                pending = inference.start(route, body, request.headers.raw, json_size, request_id.get(), reply)
                gone = asyncio.ensure_future(request.receive())  # once the body is whole, only that comes
                try:
                    await asyncio.wait((answered, gone), return_when=asyncio.FIRST_COMPLETED)
                    if not answered.done():
                        raise ClientDisconnect
                    return as_response(answered.result())
                finally:
                    gone.cancel()
                    if pending is not None:
                        pending.cancel()
        except ServingError as error:
            return as_response(inference.refuse(error))
        except ClientDisconnect:
            inference.given_up(None)
            raise

    _add_all(router, infer)
    return router


def _add_all(router: APIRouter, infer: Callable[[Request], Awaitable[Response]]) -> None:
    def add(path: str, summary: str, description: dict[str, Any], ok: Schema, *, raw: Schema | None = None) -> None:
        statuses = (*BODY_ERRORS, 404, 503, 504)
        router.add_api_route(
            path,
            infer,
            methods=["POST"],
            summary=summary,
            openapi_extra={"requestBody": description, "parameters": path_parameters(path)},
            responses=answers(*statuses, ok=ok, others={} if raw is None else {"application/octet-stream": raw}),
            operation_id=path.strip("/").translate(str.maketrans("/:", "__", "{}")),
        )

    rows: Schema = {"type": "array", "items": {}}
    columns: Schema = {"description": "a tensor, or an object of tensors by name"}
    v1 = _body({"type": "object", "properties": {"instances": rows, "inputs": columns}})
    predictions: Schema = {"type": "object", "properties": {"predictions": rows, "outputs": columns}}
    add("/v1/models/{name}:predict", "Infer (V1)", v1, predictions)
    add("/v1/models/{name}/versions/{version}:predict", "Infer with a version (V1)", v1, predictions)
    text: Schema = {"type": "string"}
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    parameters: Schema = {"type": "object"}
    tensor = record({"name": text, "shape": shape, "datatype": text}, parameters=parameters, data=rows)
    wanted = record({"name": text}, parameters=parameters)
    raw: Schema = {"type": "string", "format": "binary"}
    v2 = _body(
        record(
            {"inputs": {"type": "array", "items": tensor, "minItems": 1}},
            id=text,
            parameters=parameters,
            outputs={"type": "array", "items": wanted},
        ),
        raw,
    )
    outputs = record(
        {"model_name": text, "model_version": text, "outputs": {"type": "array", "items": tensor}}, id=text
    )
    add("/v2/models/{name}/infer", "Infer (Open Inference Protocol)", v2, outputs, raw=raw)
    add("/v2/models/{name}/versions/{version}/infer", "Infer with a version", v2, outputs, raw=raw)
    plain = _body(record({"data": rows}))
    add(
        "/predict", "Infer (plain), where there is one model", plain, record({"prediction": rows, "modelVersion": text})
    )


def _body(schema: Schema, raw: Schema | None = None) -> dict[str, Any]:
    """The OpenAPI description of a body; the codecs read it themselves, at a fraction of what pydantic costs."""
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if raw is not None:
        content["application/octet-stream"] = {"schema": raw}
    return {"required": True, "content": content}
