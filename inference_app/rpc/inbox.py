"""What comes from the client: the parts of messages, kept within limits until the messages are whole.

Source: gRPC, "gRPC over HTTP2", "Length-Prefixed-Message".
"""

from time import perf_counter

from inference_app.errors import InvalidRequestError, OverloadedError, TooLargeError
from inference_app.limits import BodyLimits
from inference_app.rpc.call import Call
from inference_app.rpc.failures import fail
from inference_app.rpc.messages import PREFIX_SIZE, unprefixed
from inference_app.rpc.status import Status

_TOO_MANY = "too many requests are being received"


class Inbox:
    """Collects the messages of calls and hands them to their methods.

    Args:
        limits: How much is taken.
    """

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits

    def hold(self, call: Call, size: int) -> bool:
        """Count bytes that a call keeps until it is closed; False if there is no room for them."""
        if not self._limits.take(size):
            return False
        call.held += size
        return True

    def release(self, call: Call) -> None:
        """A call keeps nothing any more."""
        self._limits.give_back(call.held)
        call.held = 0
        call.received = None

    def receive(self, call: Call, content: memoryview) -> int:
        """Take a part of a call's messages, and hand over what is whole.

        Returns:
            Bytes of messages that were handed over and make room for others.
        """
        size = len(content)
        if not self.hold(call, size):
            fail(call, OverloadedError(_TOO_MANY))
            return 0
        if call.client_is_done and call.received is None and not call.method.streams:
            self._deliver(call, content)
            return 0
        if not call.received:
            call.is_moving = True
        received = call.received = bytearray() if call.received is None else call.received
        received += content
        # Nobody sends more than the window, which has the size of the largest message: the rest would never come.
        if len(received) >= PREFIX_SIZE and int.from_bytes(received[1:PREFIX_SIZE]) > self._limits.body:
            fail(call, TooLargeError(f"message: larger than {self._limits.body} bytes"))
            return 0
        if not call.method.streams and len(received) > self._limits.body + PREFIX_SIZE:
            fail(call, InvalidRequestError("message: more than one"))
            return 0
        return self.go_on(call)

    def go_on(self, call: Call) -> int:
        """Hand over what is whole; of a streaming call only as long as the client takes the answers.

        Returns:
            Bytes of messages that were handed over and make room for others.
        """
        received = call.received or b""
        if not call.method.streams:
            if call.client_is_done:
                self._deliver(call, memoryview(received))
            return 0
        at = 0
        while call.is_open and not call.unsent and len(received) - at >= PREFIX_SIZE:
            end = at + PREFIX_SIZE + int.from_bytes(received[at + 1 : at + PREFIX_SIZE])
            if end > len(received):
                break
            self._deliver(call, memoryview(received[at:end]))
            at = end
        if not call.is_open:
            return 0
        if call.received is not None:
            del call.received[:at]
        if at:
            call.is_moving = True
            call.held -= at
            self._limits.give_back(at)
        if call.client_is_done and not call.unsent:
            if call.received:
                fail(call, InvalidRequestError("message: incomplete"))
            else:
                call.finish(Status.OK)
        return at

    def _deliver(self, call: Call, content: memoryview) -> None:
        call.began = call.began or perf_counter()
        try:
            message = unprefixed(content, self._limits.body, compressed=call.headers.compressed is True)
            if self.hold(call, max(0, len(message) - len(content))):
                call.method.handle(call, message)
            else:
                fail(call, OverloadedError(_TOO_MANY))
        except Exception as error:  # whatever it is, the call fails with it and the connection goes on
            fail(call, error)
