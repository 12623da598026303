"""What surrounds every request: its id, its line in the log, and an answer when everything else has failed."""

import logging
import re
import time
import uuid

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_app.logs import request_id

_log = logging.getLogger("inference_app.access")
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ID_HEADER = "x-request-id"


class RequestContext:
    """ASGI middleware: an `x-request-id` on every response, a line in the log for each, 500 for unhandled exceptions.

    The client's own id is kept if it is short and of harmless characters, for it ends up in logs and headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _identity(Headers(scope=scope).get(_ID_HEADER, ""))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_ID_HEADER] = identity
            await send(message)

        token = request_id.set(identity)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception("unhandled exception")
            if not status:
                await _internal_error(identity)(scope, receive, send_with_id)
        finally:
            _log_access(scope, status, time.perf_counter() - started)
            request_id.reset(token)


def _identity(offered: str) -> str:
    return offered if _SANE_ID.fullmatch(offered) else uuid.uuid4().hex


def _internal_error(identity: str) -> Response:
    content = orjson.dumps(
        {"error": "internal error; its cause is in the server's log under this request id", "request_id": identity}
    )
    return Response(content, status_code=500, media_type="application/json")


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    served = scope.get("state", {}).get("served")
    _log.info(
        "request",
        extra={
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "model": served.name if served else None,
            "version": served.version if served else None,
        },
    )
