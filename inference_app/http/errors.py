"""Errors of the control plane as responses: always a JSON object with `error`."""

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from inference_app.errors import ServingError
from inference_app.http.reply import CLIENT_CLOSED_REQUEST, Reply, error_reply


def as_response(reply: Reply) -> Response:
    """A reply as Starlette sends it."""
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    if reply.closes:
        headers["connection"] = "close"
    return Response(reply.body, reply.status, headers, reply.content_type.decode())


def handle_errors(app: FastAPI) -> None:
    """Answer what routing and handlers raise in the shape of all errors here."""

    async def serving_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, ServingError):
            raise error
        return as_response(error_reply(error))

    async def http_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        content = orjson.dumps({"error": str(error.detail)})
        return Response(content, error.status_code, error.headers, "application/json")

    async def disconnected(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(ServingError, serving_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, disconnected)
