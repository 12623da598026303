"""How a call fails: the client's errors in words, the server's own only by their identity in the log."""

import logging
from contextlib import nullcontext

from inference_app.errors import ServingError
from inference_app.rpc.call import Call
from inference_app.rpc.status import Status, status_of

_log = logging.getLogger(__name__)


def fail(call: Call, error: Exception) -> None:
    """End a call with the status for an error."""
    if isinstance(error, ServingError):
        call.finish(status_of(error), str(error))
        return
    with call.trace.in_logs() if call.trace is not None else nullcontext():
        _log.error(
            "unhandled exception", exc_info=error, extra={"request_id": call.identity, "path": call.headers.path}
        )
    call.finish(Status.INTERNAL, "internal error; its cause is in the server's log under this call's x-request-id")
