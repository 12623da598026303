"""What surrounds every request that goes the ASGI way: its id, its line in the log, an answer when all else failed."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_app.access_log import AccessLog
from inference_app.http.errors import as_response
from inference_app.http.reply import internal_error_reply
from inference_app.identity import HEADER, identify
from inference_app.logs import request_id, trace_id

_log = logging.getLogger(__name__)
_HEADER = HEADER.decode()


class RequestContext:
    """ASGI middleware: an `x-request-id` on every response, a line in the log for each, 500 for unhandled exceptions.

    Args:
        app: What it surrounds.
        access_log: Where requests are noted.
    """

    def __init__(self, app: ASGIApp, access_log: AccessLog) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(_HEADER)
        identity = identify(offered.encode("latin-1") if offered is not None else None)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = identity
            await send(message)

        token = request_id.set(identity)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception("unhandled exception")
            if not status:
                await as_response(internal_error_reply(identity))(scope, receive, send_with_id)
        finally:
            state = scope.get("state", {})
            traced = trace_id.set(state.get("trace_id", ""))
            seconds = time.perf_counter() - began
            self._access_log.note(
                identity, scope["method"], scope["path"], status=status, seconds=seconds, served=state.get("served")
            )
            trace_id.reset(traced)
            request_id.reset(token)
