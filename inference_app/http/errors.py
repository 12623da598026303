"""Errors as responses: always a JSON object with `error`."""

from collections.abc import Mapping

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

CLIENT_CLOSED_REQUEST = 499  # nginx's; nobody receives it, the access log and the metrics do


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that says what is wrong."""
    return Response(
        orjson.dumps({"error": message}), status_code=status, media_type="application/json", headers=headers
    )


def handle_errors(app: FastAPI) -> None:
    """Answer what routing and handlers raise in the shape of all errors here."""

    async def http_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return error_response(error.status_code, str(error.detail), error.headers)

    async def disconnected(_: Request, __: Exception) -> Response:
        return error_response(CLIENT_CLOSED_REQUEST, "the client closed the connection")

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, disconnected)
