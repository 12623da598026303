"""One call of a method, as the method sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from inference_app.model import ServedModel
from inference_app.rpc.headers import RequestHeaders
from inference_app.rpc.status import Status
from inference_app.traces import Trace

_NOTHING = memoryview(b"")


class Sender(Protocol):
    """The connection that a call came by."""

    def send(self, call: "Call", message: bytes) -> None:
        """Send one message of a call."""
        ...

    def finish(self, call: "Call", status: Status, message: str) -> None:
        """End a call; nothing of it may be sent after that."""
        ...

    def answer(self, call: "Call", message: bytes) -> None:
        """Send a call's only message, and end it well."""
        ...


@dataclass(slots=True, eq=False)
class Call:
    """A call that has begun.

    Attributes:
        sender: The connection.
        stream: The call's number on the connection.
        method: What was called.
        headers: What the client said of it.
        identity: The request's id, for logs and the client.
        window: Bytes that the client is ready to take of this call.
        deadline: When the client's patience ends, on the clock of `time.monotonic`; None if it does not.
        served: Who answers, if the method says so.
        trace: The call's, if it has one.
        on_cancel: To be called when the client gives up, if the method sets it.
        received: What has arrived of messages that are not whole.
        held: Bytes that are counted for this call.
        unsent: What waits until the client is ready for more.
        ending: The trailers to send after that.
        began: When the first message was whole, on the clock of `time.perf_counter`.
        has_begun: Whether the response's headers are sent.
        is_open: Whether the method may still send.
        is_moving: Whether something came or went since the server last looked.
        client_is_done: Whether the client has sent all that it will.
    """

    sender: Sender
    stream: int
    method: "Method"
    headers: RequestHeaders
    identity: str
    window: int
    deadline: float | None
    client_is_done: bool
    served: ServedModel | None = None
    trace: Trace | None = None
    on_cancel: Callable[[], Any] | None = None
    received: bytearray | None = None
    held: int = 0
    unsent: memoryview = _NOTHING
    ending: bytes | None = None
    began: float = 0.0
    has_begun: bool = False
    is_open: bool = True
    is_moving: bool = True

    def answer(self, message: bytes) -> None:
        """Send the one message of a unary call, and end it well."""
        if self.is_open:
            self.sender.answer(self, message)

    def send(self, message: bytes) -> None:
        """Send one message of a streaming call."""
        if self.is_open:
            self.sender.send(self, message)

    def finish(self, status: Status, message: str = "") -> None:
        """End the call."""
        if self.is_open:
            self.sender.finish(self, status, message)


@dataclass(frozen=True, slots=True)
class Method:
    """What a service does when it is called; runs in the event loop's thread and must not block.

    Attributes:
        handle: Called with each message of the client; of a unary call that is one, after which the client is done.
        infers: Whether calls are inferences, which metrics count.
        streams: Whether the client may send many messages; then the call ends well when the client is done.
        lasts: Whether calls last as long as the client likes, so that a server which shuts down doesn't wait for them.
    """

    handle: Callable[[Call, bytes], None]
    infers: bool = False
    streams: bool = False
    lasts: bool = False
