"""One connection of gRPC: HTTP/2 as far as gRPC needs it, straight on the event loop.

Source: RFC 9113; gRPC, "gRPC over HTTP2". grpcio's own server hands every event of a call from a thread of its own to
the event loop, which costs several times what the call itself does.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from inference_app.errors import InvalidRequestError, TooLargeError
from inference_app.rpc import frames
from inference_app.rpc.call import Call, Method
from inference_app.rpc.failures import fail
from inference_app.rpc.frames import Http2Error, frame
from inference_app.rpc.headers import LARGEST_HEADERS, NOT_GRPC, RESPONSE, TRAILERS_OK, HeaderReader, trailers
from inference_app.rpc.messages import PREFIX_SIZE, prefixed, unprefixed
from inference_app.rpc.status import Status

_FRAME_SIZE: Final = 1 << 18  # the largest frame taken: a large message in few of them, and no more than that unparsed
_WINDOW_STEP: Final = 1 << 28  # bytes taken between two updates of the connection's window, which is larger
_GREETING_SECONDS: Final = 20
_MOST_RESETS: Final = 1000  # calls begun and given up for each that was answered: work for nothing (CVE-2023-44487)


@dataclass(slots=True)
class Host:
    """What the connections of a server share.

    Attributes:
        methods: What can be called, by path.
        max_message_bytes: The largest message taken.
        max_buffered_bytes: How much of incomplete messages is kept, over all connections.
        max_calls: Calls at the same time on one connection.
        connections: All that are open.
        is_empty: Set when the last of them is lost.
        buffered: Bytes of incomplete messages now.
    """

    methods: Mapping[bytes, Method]
    max_message_bytes: int
    max_buffered_bytes: int
    max_calls: int
    connections: set["Connection"] = field(default_factory=set["Connection"])
    is_empty: asyncio.Event = field(default_factory=asyncio.Event)
    buffered: int = 0


class Connection(asyncio.Protocol):
    """The server's side of one HTTP/2 connection.

    Flow control is there for what is sent; for what is received windows are wide, and what the server keeps of
    incomplete messages is limited for all connections together.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = HeaderReader()
        self._calls: dict[int, Call] = {}
        self._stalled: dict[int, Call] = {}
        self._rest = b""
        self._is_greeted = False
        self._has_settings = False
        self._is_draining = False
        self._is_ended = False
        self._last_stream = 0
        self._continued: tuple[int, int, bytearray] | None = None
        self._received = 0
        self._resets = 0
        self._window = frames.DEFAULT_WINDOW
        self._call_window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE
        self._handlers: dict[int, Callable[[int, int, memoryview], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_rst_stream,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._host.connections.add(self)
        self._host.is_empty.clear()
        window = min(max(self._host.max_message_bytes + PREFIX_SIZE, frames.DEFAULT_WINDOW), frames.LARGEST_WINDOW)
        settings = {
            frames.MAX_CONCURRENT_STREAMS: self._host.max_calls,
            frames.INITIAL_WINDOW_SIZE: window,
            frames.MAX_FRAME_SIZE: _FRAME_SIZE,
            frames.MAX_HEADER_LIST_SIZE: LARGEST_HEADERS,
        }
        whole = frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW
        self._transport.write(frames.settings(settings) + frames.window_update(0, whole))
        self._impatience = asyncio.get_running_loop().call_later(_GREETING_SECONDS, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give up what is under way."""
        self._is_ended = True
        self._impatience.cancel()
        self._host.connections.discard(self)
        if not self._host.connections:
            self._host.is_empty.set()
        for call in [*self._calls.values()]:
            self._cancel(call)

    def pause_writing(self) -> None:
        """Take nothing new from a client that doesn't read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Go through the frames that are complete."""
        if self._is_ended:
            return
        if self._rest:
            data = self._rest + data
        try:
            consumed = self._consume(data)
        except Http2Error as error:
            self._end(error.code, str(error))
        else:
            self._rest = data[consumed:]

    # What the server calls

    def drain(self) -> None:
        """Ask the client to call elsewhere, and close when the last call is answered."""
        if self._is_ended:
            return
        self._is_draining = True
        # Calls that cross this on their way are still answered.
        self._transport.write(frames.goaway(frames.LARGEST_WINDOW, frames.NO_ERROR))
        for call in [*self._calls.values()]:
            if call.method.lasts:
                call.finish(Status.UNAVAILABLE, "the server is shutting down")
        self._end_if_idle()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        if not self._is_ended:
            self._end(frames.NO_ERROR, "the server is shutting down")

    # What calls call

    def answer(self, call: Call, message: bytes) -> None:
        """See `Sender.answer`."""
        size = len(message) + PREFIX_SIZE
        if call.has_begun or size > self._window or size > call.window or size > self._frame_size:
            self.send(call, message)
            self.finish(call, Status.OK, "", {})
            return
        self._window -= size
        number = call.stream.to_bytes(4)
        self._transport.write(
            b"".join(
                (
                    _RESPONSE,
                    number,
                    RESPONSE,
                    size.to_bytes(3),
                    _DATA,
                    number,
                    prefixed(message),
                    _END,
                    number,
                    TRAILERS_OK,
                )
            )
        )
        self._close(call)

    def send(self, call: Call, message: bytes) -> None:
        """See `Sender.send`."""
        self._begin(call)
        call.unsent = call.unsent + prefixed(message)
        self._flush(call)

    def finish(self, call: Call, status: Status, message: str, metadata: Mapping[str, str]) -> None:
        """See `Sender.finish`."""
        call.is_open = False
        call.on_cancel = None
        call.ending = TRAILERS_OK if status is Status.OK else trailers(status, message, metadata)
        if not call.has_begun:
            # One block says it all.
            call.has_begun = True
            call.ending = RESPONSE + call.ending
        self._flush(call)

    # Frames

    def _consume(self, data: bytes) -> int:
        """Handle every complete frame; returns how many bytes they have."""
        at, end = 0, len(data)
        if not self._is_greeted:
            if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
                raise Http2Error(frames.PROTOCOL_ERROR, "this port speaks HTTP/2 without TLS, from the start")
            if end < len(frames.PREFACE):
                return 0
            self._is_greeted = True
            self._impatience.cancel()
            at = len(frames.PREFACE)
        view = memoryview(data)
        while end - at >= frames.HEADER_SIZE and not self._is_ended:
            stop = at + frames.HEADER_SIZE + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
            if stop - at > _FRAME_SIZE + frames.HEADER_SIZE:
                raise Http2Error(frames.FRAME_SIZE_ERROR, f"a frame is larger than {_FRAME_SIZE} bytes")
            if stop > end:
                break
            stream = int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
            self._handle(data[at + 3], data[at + 4], stream, view[at + frames.HEADER_SIZE : stop])
            at = stop
        return at

    def _handle(self, kind: int, flags: int, stream: int, payload: memoryview) -> None:
        if self._continued is not None and kind != frames.CONTINUATION:
            raise Http2Error(frames.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._has_settings and kind != frames.SETTINGS:
            raise Http2Error(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        handler = self._handlers.get(kind)
        if handler is not None:  # unknown frames are for others
            handler(flags, stream, payload)

    def _on_headers(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(stream % 2 == 1, "a client's streams are odd")
        payload = frames.without_padding(flags, payload)
        if flags & frames.PRIORITIZED:
            if len(payload) < 5:
                raise Http2Error(frames.FRAME_SIZE_ERROR, "HEADERS without its priority")
            _require(int.from_bytes(payload[:4]) & 0x7FFFFFFF != stream, "a stream depends on itself")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_header_block(flags, stream, bytes(payload))
        else:
            self._continued = (stream, flags, bytearray(payload))

    def _on_continuation(self, flags: int, stream: int, payload: memoryview) -> None:
        if self._continued is None or self._continued[0] != stream:
            raise Http2Error(frames.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, block = self._continued
        if not payload and not flags & frames.END_HEADERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "an empty CONTINUATION")
        block += payload
        if len(block) > LARGEST_HEADERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"headers are larger than {LARGEST_HEADERS} bytes")
        if flags & frames.END_HEADERS:
            self._continued = None
            self._on_header_block(first_flags, stream, bytes(block))

    def _on_header_block(self, flags: int, stream: int, block: bytes) -> None:
        if stream <= self._last_stream:
            self._on_client_trailers(flags, stream, block)
            return
        self._last_stream = stream
        headers = self._reader.read(block)
        is_done = bool(flags & frames.END_STREAM)
        if len(self._calls) >= self._host.max_calls:
            self._transport.write(frames.rst_stream(stream, frames.REFUSED_STREAM))
            return
        if headers.is_malformed:
            self._transport.write(frames.rst_stream(stream, frames.PROTOCOL_ERROR))
            return
        if not headers.is_grpc:
            ending = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, NOT_GRPC)
            self._transport.write(ending if is_done else ending + frames.rst_stream(stream, frames.NO_ERROR))
            return
        method = self._host.methods.get(headers.path)
        deadline = None if headers.timeout is None else time.monotonic() + headers.timeout
        call = Call(self, stream, method or _UNKNOWN, headers, self._call_window, deadline, client_is_done=is_done)
        self._calls[stream] = call
        if method is None:
            call.finish(Status.UNIMPLEMENTED, f"no method {headers.path.decode(errors='replace')[:256]} here")
        elif headers.compressed is None:
            call.finish(Status.UNIMPLEMENTED, "messages may be compressed with gzip or deflate")
        elif is_done:
            self._on_client_done(call)

    def _on_client_trailers(self, flags: int, stream: int, block: bytes) -> None:
        self._reader.skip(block)
        call = self._calls.get(stream)
        # Of a stream that was reset they may have been on their way.
        if call is None:
            return
        if call.client_is_done:
            raise Http2Error(frames.STREAM_CLOSED, "HEADERS after the end of a stream")
        _require(bool(flags & frames.END_STREAM), "HEADERS in the midst of a stream")
        call.client_is_done = True
        self._on_client_done(call)

    def _on_data(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(0 < stream <= self._last_stream, "DATA of no stream")
        size = len(payload)
        self._received += size
        if self._received >= _WINDOW_STEP:
            self._transport.write(frames.window_update(0, self._received))
            self._received = 0
        content = frames.without_padding(flags, payload)
        call = self._calls.get(stream)
        if call is None:
            return  # it was reset, or answered early
        if call.client_is_done:
            raise Http2Error(frames.STREAM_CLOSED, "DATA after the end of a stream")
        call.client_is_done = bool(flags & frames.END_STREAM)
        if call.client_is_done and not call.parts and not call.method.streams:
            self._deliver(call, bytes(content))
            return
        if content and not self._keep(call, bytes(content)):
            return
        if call.method.streams:
            if size and not call.client_is_done:
                self._transport.write(frames.window_update(stream, size))
            self._deliver_complete(call)
        if call.client_is_done and call.is_open:
            self._on_client_done(call)

    def _on_priority(self, _: int, stream: int, payload: memoryview) -> None:
        _require(stream != 0, "PRIORITY of no stream")
        if len(payload) != 5:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes")

    def _on_push_promise(self, *_: object) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR, "clients do not push")

    def _on_goaway(self, _: int, stream: int, __: memoryview) -> None:
        _require(stream == 0, "GOAWAY of a stream")

    def _on_window_update(self, _: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 4:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        _require(stream <= self._last_stream, "WINDOW_UPDATE of a stream that is idle")
        increment = int.from_bytes(payload) & 0x7FFFFFFF
        if stream == 0:
            _require(increment != 0, "WINDOW_UPDATE by nothing")
            self._window += increment
            if self._window > frames.LARGEST_WINDOW:
                raise Http2Error(frames.FLOW_CONTROL_ERROR, "the connection's window is too large")
            for call in [*self._stalled.values()]:
                self._flush(call)
        elif (call := self._calls.get(stream)) is not None:
            call.window += increment
            if increment == 0 or call.window > frames.LARGEST_WINDOW:
                code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
                self._transport.write(frames.rst_stream(stream, code))
                self._cancel(call)
            else:
                self._flush(call)

    def _on_ping(self, flags: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 8:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "PING has 8 bytes")
        _require(stream == 0, "PING of a stream")
        if not flags & frames.ACK:
            self._transport.write(frame(frames.PING, frames.ACK, 0, bytes(payload)))

    def _on_rst_stream(self, _: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 4:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        _require(0 < stream <= self._last_stream, "RST_STREAM of no stream")
        call = self._calls.get(stream)
        if call is None:
            return
        self._cancel(call)
        self._resets += 1
        if self._resets > _MOST_RESETS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many calls are given up")

    def _on_settings(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(stream == 0, "SETTINGS of a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise Http2Error(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & frames.ACK:
            return
        self._has_settings = True
        for at in range(0, len(payload), 6):
            self._on_setting(int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6]))
        self._transport.write(frame(frames.SETTINGS, frames.ACK, 0, b""))

    def _on_setting(self, key: int, value: int) -> None:
        if key == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW:
                raise Http2Error(frames.FLOW_CONTROL_ERROR, "an initial window is too large")
            change, self._call_window = value - self._call_window, value
            for call in [*self._calls.values()]:
                call.window += change
                self._flush(call)
        elif key == frames.MAX_FRAME_SIZE:
            _require(frames.DEFAULT_FRAME_SIZE <= value <= frames.LARGEST_FRAME_SIZE, "a maximum frame size is wrong")
            self._frame_size = value
        elif key == frames.ENABLE_PUSH:
            _require(value <= 1, "ENABLE_PUSH is 0 or 1")

    # Messages

    def _keep(self, call: Call, content: bytes) -> bool:
        """Keep a part of a message; False if it is too much, and the call has failed for it."""
        host = self._host
        call.parts.append(content)
        call.arrived += len(content)
        host.buffered += len(content)
        if call.arrived > host.max_message_bytes + PREFIX_SIZE:
            fail(call, TooLargeError(f"message: larger than {host.max_message_bytes} bytes"))
            return False
        if host.buffered > host.max_buffered_bytes:
            fail(call, TooLargeError("too many bytes of incomplete messages are on their way; try again later"))
            return False
        return True

    def _release(self, call: Call) -> bytes:
        """What is kept of a call's messages, which is kept no more."""
        kept = b"".join(call.parts)
        self._host.buffered -= call.arrived
        call.parts, call.arrived = [], 0
        return kept

    def _on_client_done(self, call: Call) -> None:
        if not call.method.streams:
            self._deliver(call, self._release(call))
        elif call.arrived:
            fail(call, InvalidRequestError("message: incomplete"))
        else:
            call.finish(Status.OK)

    def _deliver(self, call: Call, content: bytes) -> None:
        """Hand over the one message of a unary call."""
        try:
            message = unprefixed(content, self._host.max_message_bytes, compressed=call.headers.compressed is True)
            call.method.handle(call, message)
        except Exception as error:  # whatever it is, the call fails with it and the connection goes on
            fail(call, error)

    def _deliver_complete(self, call: Call) -> None:
        """Hand over each message of a streaming call that is complete."""
        content = self._release(call)
        while call.is_open and len(content) >= PREFIX_SIZE:
            end = PREFIX_SIZE + int.from_bytes(content[1:PREFIX_SIZE])
            if end > len(content):
                break
            self._deliver(call, content[:end])
            content = content[end:]
        if call.is_open and content:
            self._keep(call, content)

    # Sending

    def _begin(self, call: Call) -> None:
        if not call.has_begun:
            call.has_begun = True
            self._transport.write(frame(frames.HEADERS, frames.END_HEADERS, call.stream, RESPONSE))

    def _flush(self, call: Call) -> None:
        """Send what the client is ready to take, then how the call ended if it has."""
        at, content = 0, memoryview(call.unsent)
        written: list[bytes] = []
        while (size := min(len(content) - at, self._window, call.window, self._frame_size)) > 0:
            written.append(frame(frames.DATA, 0, call.stream, bytes(content[at : at + size])))
            self._window -= size
            call.window -= size
            at += size
        call.unsent = bytes(content[at:])
        if call.unsent:
            self._stalled[call.stream] = call
        elif call.ending is not None:
            written.append(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, call.stream, call.ending))
            if not call.client_is_done:
                written.append(frames.rst_stream(call.stream, frames.NO_ERROR))
        if written and not self._is_ended:
            self._transport.write(b"".join(written))
        if not call.unsent:
            self._stalled.pop(call.stream, None)
            if call.ending is not None:
                self._close(call)

    # Ends

    def _close(self, call: Call) -> None:
        call.is_open = False
        call.on_cancel = None
        if self._calls.pop(call.stream, None) is not None:
            self._host.buffered -= call.arrived
            self._resets = max(0, self._resets - 1)
        self._end_if_idle()

    def _cancel(self, call: Call) -> None:
        call.is_open = False
        self._calls.pop(call.stream, None)
        self._stalled.pop(call.stream, None)
        self._host.buffered -= call.arrived
        if call.on_cancel is not None:
            call.on_cancel()

    def _end_if_idle(self) -> None:
        if self._is_draining and not self._calls and not self._is_ended:
            self._end(frames.NO_ERROR, "")

    def _end(self, code: int, reason: str) -> None:
        """Say why, and close; what was written before is still sent."""
        self._is_ended = True
        for call in [*self._calls.values()]:
            self._cancel(call)
        self._transport.write(frames.goaway(self._last_stream, code, reason))
        self._transport.close()


_UNKNOWN = Method(lambda call, _: call.finish(Status.UNIMPLEMENTED))

# Beginnings of the three frames of a unary answer: sizes, types and flags; each is followed by the stream's number.
_RESPONSE = len(RESPONSE).to_bytes(3) + bytes((frames.HEADERS, frames.END_HEADERS))
_DATA = bytes((frames.DATA, 0))
_END = len(TRAILERS_OK).to_bytes(3) + bytes((frames.HEADERS, frames.END_HEADERS | frames.END_STREAM))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Http2Error(frames.PROTOCOL_ERROR, otherwise)
