"""The OpenAPI document: what each operation takes and answers, as it is served."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

Schema = Mapping[str, Any]

_MEANINGS = {
    400: "the request is wrong; `error` says where, and what was expected",
    401: "the delivery is not to be believed",
    404: "no such model or version here",
    405: "another method is needed; see Allow",
    408: "the body did not arrive in time",
    413: "the body is too large",
    429: "too much is waiting; see Retry-After",
    503: "not ready yet; see Retry-After",
    504: "the request's own time limit passed",
}
BODY_ERRORS = (400, 408, 413, 429)
"""What may become of any request with a body."""

_TEXT: Schema = {"type": "string"}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what was wrong, where, and what to do"}},
}


def record(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """An object with these members."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def answers(*statuses: int, ok: Schema, others: Mapping[str, Schema] | None = None) -> dict[int | str, dict[str, Any]]:
    """An operation's responses.

    Args:
        statuses: Of its errors.
        ok: The schema of the JSON that 200 comes with.
        others: Further media types of 200, with their schemas.
    """
    content = {"application/json": {"schema": ok}} if ok else {}
    content |= {media_type: {"schema": schema} for media_type, schema in (others or {}).items()}
    described: dict[int | str, dict[str, Any]] = {200: {"description": "as asked", "content": content}}
    for status in statuses:
        error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        described[status] = {"description": _MEANINGS[status], "content": error}
        if status in {429, 503}:
            described[status]["headers"] = {"retry-after": {"description": "seconds", "schema": {"type": "integer"}}}
    return described


def path_parameters(path: str) -> list[dict[str, Any]]:
    """The parameters in a path, for operations whose handlers read it themselves."""
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


def document(app: FastAPI) -> None:
    """Have an application describe itself, without the errors of a validation that is not done by the framework."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for operations in described["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            described["components"] = {"schemas": {"Error": _ERROR}}
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = describe
