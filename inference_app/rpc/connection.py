"""One connection of gRPC: HTTP/2 as far as gRPC needs it, straight on the event loop.

Source: RFC 9113; gRPC, "gRPC over HTTP2". See docs/decisions/0007-own-http2-for-grpc.md.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from inference_app.errors import SlowSenderError
from inference_app.identity import identify
from inference_app.limits import BodyLimits
from inference_app.rpc import frames
from inference_app.rpc.call import Call, Method
from inference_app.rpc.failures import fail
from inference_app.rpc.frames import Http2Error, frame
from inference_app.rpc.headers import LARGEST_HEADERS, NOT_GRPC, TRAILERS_OK, HeaderReader, said_of, trailers
from inference_app.rpc.inbox import Inbox
from inference_app.rpc.messages import PREFIX_SIZE
from inference_app.rpc.outbox import Outbox
from inference_app.rpc.patience import Patience
from inference_app.rpc.reader import FRAME_SIZE, FrameReader
from inference_app.rpc.status import Status

_WINDOW_STEP: Final = 1 << 28  # bytes taken between two updates of the connection's window, which is larger
_LINGER_SECONDS: Final = 2  # for a client to read why its connection ends
_SETTING_COST: Final = 100  # of a client's patience: a setting can concern every call


@dataclass(slots=True)
class Host:
    """What the connections of a server share.

    Attributes:
        methods: What can be called, by path.
        limits: How much of messages is taken, and how slowly.
        max_calls: Calls at the same time on one connection.
        ended: Told of each call that ended.
        connections: All that are open.
        is_empty: Set when the last of them is lost.
    """

    methods: Mapping[str, Method]
    limits: BodyLimits
    max_calls: int
    ended: Callable[[Call, Status], None]
    connections: set["Connection"] = field(default_factory=set["Connection"])
    is_empty: asyncio.Event = field(default_factory=asyncio.Event)


class Connection(asyncio.Protocol):
    """The server's side of one HTTP/2 connection.

    What is sent keeps to the client's windows. Windows for what is received are wide: memory for it is limited by
    `Host.limits`, for all connections together.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._headers = HeaderReader()
        self._reader = FrameReader(self._on_frame)
        self._inbox = Inbox(host.limits)
        self._outbox = Outbox(self._write, self._hold_unsent, self._close, self._on_drained)
        self._patience = Patience()
        self._calls: dict[int, Call] = {}
        self._is_moving = True
        self._is_draining = False
        self._is_ended = False
        self._last_stream = 0
        self._received = 0
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
        }

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._host.connections.add(self)
        self._host.is_empty.clear()
        window = min(max(self._host.limits.body + PREFIX_SIZE, frames.DEFAULT_WINDOW), frames.LARGEST_WINDOW)
        settings = {
            frames.MAX_CONCURRENT_STREAMS: self._host.max_calls,
            frames.INITIAL_WINDOW_SIZE: window,
            frames.MAX_FRAME_SIZE: FRAME_SIZE,
            frames.MAX_HEADER_LIST_SIZE: LARGEST_HEADERS,
        }
        whole = frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW
        self._write(frames.settings(settings) + frames.window_update(0, whole))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give up what is under way."""
        self._is_ended = True
        self._host.connections.discard(self)
        if not self._host.connections:
            self._host.is_empty.set()
        self._cancel_all()

    def pause_writing(self) -> None:
        """Take nothing new from a client that doesn't read."""
        self._outbox.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._transport.resume_reading()
        self._outbox.resume()

    def data_received(self, data: bytes) -> None:
        """Go through the frames that are complete."""
        if self._is_ended:
            return
        try:
            self._reader.feed(data)
        except Http2Error as error:
            self._end(error.code, str(error))

    # What the server calls

    def drain(self) -> None:
        """Ask the client to call elsewhere, and close when the last call is answered."""
        if self._is_ended:
            return
        self._is_draining = True
        # Calls that cross this on their way are still answered.
        self._write(frames.goaway(frames.LARGEST_WINDOW, frames.NO_ERROR))
        for call in [*self._calls.values()]:
            if call.method.lasts:
                call.finish(Status.UNAVAILABLE, "the server is shutting down")
        self._end_if_idle()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        if not self._is_ended:
            self._end(frames.NO_ERROR, "the server is shutting down")
        self._transport.abort()

    def sweep(self) -> None:
        """Give up what has not moved since the last sweep."""
        if not self._reader.is_greeted:
            if not self._is_moving:
                self._transport.abort()
            self._is_moving = False
        for call in [*self._calls.values()]:
            is_sending = not call.client_is_done and (bool(call.received) or not call.has_begun) and call.is_open
            if not is_sending and not call.unsent:
                continue
            if call.is_moving:
                call.is_moving = False
            elif call.unsent:
                self._reset(call, frames.ENHANCE_YOUR_CALM)
            else:
                fail(call, SlowSenderError(f"message: not complete within {self._host.limits.seconds:g} s"))

    # What calls call

    def answer(self, call: Call, message: bytes) -> None:
        """See `Sender.answer`."""
        self._note_end(call, Status.OK)
        self._outbox.answer(call, message, TRAILERS_OK + said_of(call.identity, call.served))

    def send(self, call: Call, message: bytes) -> None:
        """See `Sender.send`."""
        self._outbox.send(call, message)

    def finish(self, call: Call, status: Status, message: str) -> None:
        """See `Sender.finish`."""
        self._note_end(call, status)
        ending = TRAILERS_OK if status is Status.OK else trailers(status, message)
        self._outbox.end(call, ending + said_of(call.identity, call.served))

    # Frames

    def _on_frame(self, kind: int, flags: int, stream: int, payload: memoryview) -> None:
        handler = self._handlers.get(kind)
        if self._is_ended:
            return
        if handler is None:  # unknown frames are for others
            self._patience.spend()
        else:
            handler(flags, stream, payload)

    def _on_headers(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(stream % 2 == 1, "a client's streams are odd")
        is_done = bool(flags & frames.END_STREAM)
        if stream <= self._last_stream:
            self._on_client_trailers(stream, bytes(payload), is_done=is_done)
            return
        self._last_stream = stream
        headers = self._headers.read(bytes(payload))
        if len(self._calls) >= self._host.max_calls:
            self._patience.spend()
            self._write(frames.rst_stream(stream, frames.REFUSED_STREAM))
            return
        if headers.is_malformed:
            self._patience.spend()
            self._write(frames.rst_stream(stream, frames.PROTOCOL_ERROR))
            return
        if not headers.is_grpc:
            ending = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, NOT_GRPC)
            self._write(ending if is_done else ending + frames.rst_stream(stream, frames.NO_ERROR))
            return
        method = self._host.methods.get(headers.path)
        deadline = None if headers.timeout is None else time.monotonic() + headers.timeout
        identity = identify(headers.request_id)
        call = Call(self, stream, method or _UNKNOWN, headers, identity, self._outbox.call_window, deadline, is_done)
        self._calls[stream] = call
        if method is None:
            call.finish(Status.UNIMPLEMENTED, f"no method {headers.path[:256]} here")
        elif headers.compressed is None:
            call.finish(Status.UNIMPLEMENTED, "messages may be compressed with gzip or deflate")
        elif is_done:
            self._inbox.go_on(call)

    def _on_client_trailers(self, stream: int, block: bytes, *, is_done: bool) -> None:
        self._patience.spend()
        self._headers.skip(block)
        call = self._calls.get(stream)
        # Of a stream that was reset they may have been on their way.
        if call is None:
            return
        if call.client_is_done:
            raise Http2Error(frames.STREAM_CLOSED, "HEADERS after the end of a stream")
        _require(is_done, "HEADERS in the midst of a stream")
        call.client_is_done = True
        if call.is_open:
            self._inbox.go_on(call)

    def _on_data(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(stream % 2 == 1 and stream <= self._last_stream, "DATA of no stream")
        size = len(payload)
        self._received += size
        if self._received >= _WINDOW_STEP:
            self._write(frames.window_update(0, self._received))
            self._received = 0
        content = frames.without_padding(flags, payload)
        is_done = bool(flags & frames.END_STREAM)
        if not content and not is_done:
            self._patience.spend()
        call = self._calls.get(stream)
        if call is None:
            return  # it was reset, or answered early
        if call.client_is_done:
            raise Http2Error(frames.STREAM_CLOSED, "DATA after the end of a stream")
        call.client_is_done = is_done
        if call.is_open:
            handed_over = self._inbox.receive(call, content)
            self._make_room(call, handed_over + (size - len(content) if call.method.streams else 0))

    def _on_priority(self, _: int, stream: int, payload: memoryview) -> None:
        _require(stream != 0, "PRIORITY of no stream")
        if len(payload) != 5:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes")
        self._patience.spend()

    def _on_rst_stream(self, _: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 4:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        _require(stream % 2 == 1 and stream <= self._last_stream, "RST_STREAM of no stream")
        self._patience.spend()
        call = self._calls.get(stream)
        if call is not None:
            self._cancel(call)
            self._end_if_idle()

    def _on_settings(self, flags: int, stream: int, payload: memoryview) -> None:
        _require(stream == 0, "SETTINGS of a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise Http2Error(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._patience.spend()
        if flags & frames.ACK:
            return
        for at in range(0, len(payload), 6):
            self._patience.spend(_SETTING_COST)
            self._on_setting(int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6]))
        self._write(frame(frames.SETTINGS, frames.ACK, 0, b""))

    def _on_setting(self, key: int, value: int) -> None:
        if key == frames.INITIAL_WINDOW_SIZE:
            self._outbox.set_call_window(value, self._calls.values())
        elif key == frames.MAX_FRAME_SIZE:
            self._outbox.set_frame_size(value)
        elif key == frames.ENABLE_PUSH:
            _require(value <= 1, "ENABLE_PUSH is 0 or 1")

    def _on_push_promise(self, *_: object) -> None:
        raise Http2Error(frames.PROTOCOL_ERROR, "clients do not push")

    def _on_ping(self, flags: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 8:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "PING has 8 bytes")
        _require(stream == 0, "PING of a stream")
        self._patience.spend()
        if not flags & frames.ACK:
            self._write(frame(frames.PING, frames.ACK, 0, bytes(payload)))

    def _on_goaway(self, _: int, stream: int, payload: memoryview) -> None:
        _require(stream == 0, "GOAWAY of a stream")
        if len(payload) < 8:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "GOAWAY has at least 8 bytes")
        self._patience.spend()

    def _on_window_update(self, _: int, stream: int, payload: memoryview) -> None:
        if len(payload) != 4:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        increment = int.from_bytes(payload) & 0x7FFFFFFF
        if stream == 0:
            self._outbox.widen(increment)
            return
        _require(stream % 2 == 1 and stream <= self._last_stream, "WINDOW_UPDATE of no stream")
        call = self._calls.get(stream)
        if call is not None and (code := self._outbox.widen_call(call, increment)):
            self._reset(call, code)

    # The parts' ways to each other

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def _hold_unsent(self, call: Call, size: int) -> bool:
        if self._inbox.hold(call, size):
            return True
        self._reset(call, frames.ENHANCE_YOUR_CALM)
        return False

    def _on_drained(self, call: Call) -> None:
        if call.method.streams:
            self._make_room(call, self._inbox.go_on(call))

    def _make_room(self, call: Call, size: int) -> None:
        if size and call.is_open and not call.client_is_done:
            self._write(frames.window_update(call.stream, size))

    # Ends

    def _note_end(self, call: Call, status: Status) -> None:
        call.is_open = False
        call.on_cancel = None
        self._host.ended(call, status)

    def _close(self, call: Call) -> None:
        """Everything of a call is sent."""
        del self._calls[call.stream]
        self._inbox.release(call)
        self._end_if_idle()

    def _reset(self, call: Call, code: int) -> None:
        self._write(frames.rst_stream(call.stream, code))
        self._cancel(call)
        self._end_if_idle()

    def _cancel(self, call: Call) -> None:
        """Nothing more of a call is to be sent."""
        del self._calls[call.stream]
        self._outbox.forget(call)
        self._inbox.release(call)
        if call.is_open:
            on_cancel = call.on_cancel
            self._note_end(call, Status.CANCELLED)
            if on_cancel is not None:
                on_cancel()

    def _cancel_all(self) -> None:
        for call in [*self._calls.values()]:
            self._cancel(call)

    def _end_if_idle(self) -> None:
        if self._is_draining and not self._calls and not self._is_ended:
            self._end(frames.NO_ERROR, "")

    def _end(self, code: int, reason: str) -> None:
        """Say why, and close; what was written before is still sent."""
        self._is_ended = True
        self._cancel_all()
        self._write(frames.goaway(self._last_stream, code, reason))
        if code == frames.NO_ERROR:
            self._transport.close()
        else:
            # Closed with something unread, the client's system would throw away what it has not read itself.
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.abort)


_UNKNOWN = Method(lambda call, _: call.finish(Status.UNIMPLEMENTED))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Http2Error(frames.PROTOCOL_ERROR, otherwise)
