"""Replies, before they are put on a wire, and the HTTP status of each kind of error."""

from dataclasses import dataclass

import orjson

from inference_app.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    ServingError,
    SlowSenderError,
    TooLargeError,
    UnknownModelError,
)

CLIENT_CLOSED_REQUEST = 499  # nginx's; nobody receives it, the access log and the metrics do
JSON = b"application/json"


class HeadTooLargeError(TooLargeError):
    """The headers are larger than this server takes."""


_STATUS: dict[type[ServingError], int] = {
    InvalidRequestError: 400,
    UnknownModelError: 404,
    SlowSenderError: 408,
    TooLargeError: 413,
    OverloadedError: 429,
    HeadTooLargeError: 431,
    NotReadyError: 503,
    DeadlineExceededError: 504,
}
_RETRY_AFTER_SECONDS = {429: b"1", 503: b"5"}
# After these the rest of the request is still on its way, and nobody will read it.
_LEFT_UNREAD = frozenset({408, 413, 431})

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)  # frozen ones take three times as long to make
class Reply:
    """A complete response.

    Attributes:
        status: The HTTP status.
        body: The content.
        content_type: Its media type.
        headers: Further headers, names in lower case.
        closes: Whether the connection is to be closed after it.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()
    closes: bool = False


def error_reply(error: ServingError, headers: Headers = ()) -> Reply:
    """What a client is told of an error: its kind by the status, and what to do about it in `error`."""
    status = _STATUS[type(error)]
    if status in _RETRY_AFTER_SECONDS:
        headers = (*headers, (b"retry-after", _RETRY_AFTER_SECONDS[status]))
    return Reply(status, orjson.dumps({"error": str(error)}), headers=headers, closes=status in _LEFT_UNREAD)


def internal_error_reply(request_id: str, headers: Headers = ()) -> Reply:
    """What a client is told of a fault of ours: nothing of its cause, and how to find that in the log."""
    content = {
        "error": "internal error; its cause is in the server's log under this request id",
        "request_id": request_id,
    }
    return Reply(500, orjson.dumps(content), headers=headers)
