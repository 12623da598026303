"""What goes to the client, no faster than it wants.

Source: RFC 9113, sections 5.2 and 6.9 (flow control).
"""

from collections.abc import Callable, Iterable
from typing import Final

from inference_app.rpc import frames
from inference_app.rpc.call import Call
from inference_app.rpc.frames import Http2Error, frame
from inference_app.rpc.headers import RESPONSE
from inference_app.rpc.messages import PREFIX_SIZE, prefixed


class Outbox:
    """Sends messages and endings of one connection's calls.

    Args:
        write: Puts bytes on the wire.
        hold: Makes room for what a call has to keep until its client takes it; False, and the call reset, if there is
            no room.
        done: Told of each call whose ending is sent.
        drained: Told of each open call whose messages are all sent after they had to wait.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        hold: Callable[[Call, int], bool],
        done: Callable[[Call], None],
        drained: Callable[[Call], None],
    ) -> None:
        self._write = write
        self._hold = hold
        self._done = done
        self._drained = drained
        self._window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE
        self._is_paused = False
        self._waiting: dict[int, Call] = {}  # for the connection; who waits for their own window is not here
        self.call_window = frames.DEFAULT_WINDOW

    # Sending

    def answer(self, call: Call, message: bytes, ending: bytes) -> None:
        """Send a call's only message and its ending: all at once, where the client is ready for that."""
        size = len(message) + PREFIX_SIZE
        if call.has_begun or size > self._window or size > call.window or size > self._frame_size or self._is_paused:
            call.ending = ending
            self.send(call, message)
            return
        self._window -= size
        number = call.stream.to_bytes(4)
        self._write(
            b"".join(
                (
                    _RESPONSE,
                    number,
                    RESPONSE,
                    size.to_bytes(3),
                    _DATA,
                    number,
                    prefixed(message),
                    len(ending).to_bytes(3),
                    _END,
                    number,
                    ending,
                )
            )
        )
        self._done(call)

    def send(self, call: Call, message: bytes) -> None:
        """Send one message."""
        if not call.has_begun:
            call.has_begun = True
            self._write(frame(frames.HEADERS, frames.END_HEADERS, call.stream, RESPONSE))
        content = prefixed(message)
        call.unsent = memoryview(bytes(call.unsent) + content if call.unsent else content)
        self._flush(call)
        if call.unsent:
            self._hold(call, len(content))

    def end(self, call: Call, ending: bytes) -> None:
        """Send the trailers, after what is unsent; of a call that has sent nothing one block says it all."""
        call.ending = ending if call.has_begun else RESPONSE + ending
        call.has_begun = True
        self._flush(call)

    def forget(self, call: Call) -> None:
        """Send nothing more of a call."""
        call.unsent = memoryview(b"")
        self._waiting.pop(call.stream, None)

    # What the client is ready for

    def widen(self, increment: int) -> None:
        """The client is ready for more on the whole connection.

        Raises:
            Http2Error: for more than can be counted, or for nothing.
        """
        if not increment:
            raise Http2Error(frames.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        self._window += increment
        if self._window > frames.LARGEST_WINDOW:
            raise Http2Error(frames.FLOW_CONTROL_ERROR, "the connection's window is too large")
        self._flush_waiting()

    def widen_call(self, call: Call, increment: int) -> int:
        """The client is ready for more of a call; returns the error code where that is no sensible number."""
        if not increment:
            return frames.PROTOCOL_ERROR
        call.window += increment
        if call.window > frames.LARGEST_WINDOW:
            return frames.FLOW_CONTROL_ERROR
        self._go_on(call)
        return frames.NO_ERROR

    def set_call_window(self, size: int, calls: Iterable[Call]) -> None:
        """The client has another window for each call, those that are open included.

        Raises:
            Http2Error: it is larger than can be counted.
        """
        change, self.call_window = size - self.call_window, size
        open_calls = [*calls]
        for call in open_calls:
            call.window += change
        if max((size, *(call.window for call in open_calls))) > frames.LARGEST_WINDOW:
            raise Http2Error(frames.FLOW_CONTROL_ERROR, "a window is too large")
        if change > 0:
            for call in open_calls:
                self._go_on(call)

    def set_frame_size(self, size: int) -> None:
        """The client takes frames of so many bytes.

        Raises:
            Http2Error: HTTP/2 has no such frames.
        """
        if not frames.DEFAULT_FRAME_SIZE <= size <= frames.LARGEST_FRAME_SIZE:
            raise Http2Error(frames.PROTOCOL_ERROR, "a maximum frame size is wrong")
        self._frame_size = size

    def pause(self) -> None:
        """The socket takes nothing more."""
        self._is_paused = True

    def resume(self) -> None:
        """The socket takes more."""
        self._is_paused = False
        self._flush_waiting()

    def _flush_waiting(self) -> None:
        while self._waiting and self._window > 0 and not self._is_paused:
            self._go_on(self._waiting.pop(next(iter(self._waiting))))

    def _go_on(self, call: Call) -> None:
        if call.unsent:
            self._flush(call)
            if not call.unsent and call.is_open:
                self._drained(call)

    def _flush(self, call: Call) -> None:
        """Send what the client is ready to take, then how the call ended if it has."""
        content, at = call.unsent, 0
        room = 0 if self._is_paused else min(len(content), self._window, call.window)
        written: list[bytes] = []
        while at < room:
            size = min(room - at, self._frame_size)
            written.append(frame(frames.DATA, 0, call.stream, bytes(content[at : at + size])))
            at += size
        if at:
            self._window -= at
            call.window -= at
            call.unsent = content[at:]
            call.is_moving = True
        if not call.unsent and call.ending is not None:
            written.append(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, call.stream, call.ending))
            if not call.client_is_done:
                written.append(frames.rst_stream(call.stream, frames.NO_ERROR))
        if written:
            self._write(b"".join(written))
        if call.unsent:
            if call.window > 0:
                self._waiting[call.stream] = call
        elif call.ending is not None:
            self._done(call)


# Beginnings of the three frames of a unary answer: sizes, types and flags; each is followed by the stream's number.
_RESPONSE: Final = len(RESPONSE).to_bytes(3) + bytes((frames.HEADERS, frames.END_HEADERS))
_DATA: Final = bytes((frames.DATA, 0))
_END: Final = bytes((frames.HEADERS, frames.END_HEADERS | frames.END_STREAM))
