"""From bytes as they arrive to whole frames, with each header block in one piece.

Source: RFC 9113, sections 3.4, 4.1, 4.3 and 6.10.
"""

import struct
from collections.abc import Callable
from typing import Final

from inference_app.rpc import frames
from inference_app.rpc.frames import Http2Error
from inference_app.rpc.headers import LARGEST_HEADERS

FRAME_SIZE: Final = 1 << 16  # the largest frame taken: what a connection keeps of one that isn't whole

_HEADER: Final = struct.Struct(">HBBBI").unpack_from  # size in two parts, type, flags, stream
_PRIORITY_SIZE: Final = 5

Handler = Callable[[int, int, int, memoryview], None]


class FrameReader:
    """Reads what a client sends.

    Args:
        handle: Called with each frame: type, flags, stream, payload. Payloads of HEADERS are whole header blocks,
            without padding and priority; CONTINUATION never comes.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._rest = bytearray()
        self._wanted = len(frames.PREFACE)
        self._has_settings = False
        self._block: tuple[int, int, bytearray] | None = None
        self.is_greeted = False

    def feed(self, data: bytes) -> None:
        """Go on with what came.

        Raises:
            Http2Error: the client breaks the protocol.
        """
        if self._rest:
            self._rest += data
            # So that a frame which comes byte by byte is not copied for each of them.
            if self.is_greeted and len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
        consumed = self._consume(data)
        self._rest = bytearray(data[consumed:])

    def _consume(self, data: bytes) -> int:
        """Handle every complete frame; returns how many bytes they have."""
        at, end = 0, len(data)
        if not self.is_greeted:
            at = len(frames.PREFACE)
            if not frames.PREFACE.startswith(data[:at]):
                raise Http2Error(frames.PROTOCOL_ERROR, "this port speaks HTTP/2 without TLS, from the start")
            if end < at:
                return 0
            self.is_greeted = True
        view = memoryview(data)
        while end - at >= frames.HEADER_SIZE:
            high, low, kind, flags, stream = _HEADER(data, at)
            size = high << 8 | low
            if size > FRAME_SIZE:
                raise Http2Error(frames.FRAME_SIZE_ERROR, f"a frame is larger than {FRAME_SIZE} bytes")
            start = at + frames.HEADER_SIZE
            if start + size > end:
                self._wanted = frames.HEADER_SIZE + size
                return at
            at = start + size
            self._on_frame(kind, flags, stream & 0x7FFFFFFF, view[start:at])
        self._wanted = frames.HEADER_SIZE
        return at

    def _on_frame(self, kind: int, flags: int, stream: int, payload: memoryview) -> None:
        if not self._has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise Http2Error(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if (self._block is not None) != (kind == frames.CONTINUATION):
            raise Http2Error(frames.PROTOCOL_ERROR, "a header block is interrupted, or goes on after its end")
        if kind == frames.HEADERS:
            self._on_headers(flags, stream, payload)
        elif kind == frames.CONTINUATION:
            self._on_continuation(flags, stream, payload)
        else:
            self._handle(kind, flags, stream, payload)

    def _on_headers(self, flags: int, stream: int, payload: memoryview) -> None:
        payload = frames.without_padding(flags, payload)
        if flags & frames.PRIORITIZED:
            if len(payload) < _PRIORITY_SIZE:
                raise Http2Error(frames.FRAME_SIZE_ERROR, "HEADERS without its priority")
            if int.from_bytes(payload[:4]) & 0x7FFFFFFF == stream:
                raise Http2Error(frames.PROTOCOL_ERROR, "a stream depends on itself")
            payload = payload[_PRIORITY_SIZE:]
        _limit(len(payload))
        if flags & frames.END_HEADERS:
            self._handle(frames.HEADERS, flags, stream, payload)
        else:
            self._block = (stream, flags, bytearray(payload))

    def _on_continuation(self, flags: int, stream: int, payload: memoryview) -> None:
        if self._block is None or self._block[0] != stream:
            raise Http2Error(frames.PROTOCOL_ERROR, "CONTINUATION of another stream")
        _, first_flags, block = self._block
        if not payload and not flags & frames.END_HEADERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "an empty CONTINUATION")
        _limit(len(block) + len(payload))
        block += payload
        if flags & frames.END_HEADERS:
            self._block = None
            self._handle(frames.HEADERS, first_flags, stream, memoryview(block))


def _limit(size: int) -> None:
    if size > LARGEST_HEADERS:
        raise Http2Error(frames.ENHANCE_YOUR_CALM, f"headers are larger than {LARGEST_HEADERS} bytes")
