"""How a call fails: the client's errors in words, the server's own only by their identity in the log."""

import logging
from uuid import uuid4

from inference_app.errors import ServingError
from inference_app.rpc.call import Call
from inference_app.rpc.status import Status, status_of

_log = logging.getLogger(__name__)


def fail(call: Call, error: Exception) -> Status:
    """End a call with the status for an error; returns that."""
    status = status_of(error)
    if isinstance(error, ServingError):
        call.finish(status, str(error))
        return status
    identity = uuid4().hex
    path = call.headers.path.decode(errors="replace")
    _log.error("internal error", exc_info=error, extra={"request_id": identity, "path": path})
    call.finish(Status.INTERNAL, "internal error; the log has it under this x-request-id", {"x-request-id": identity})
    return Status.INTERNAL
