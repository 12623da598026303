"""A client that writes HTTP/2 frames as the test wants them, right or wrong."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 3, 5, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5

_FRAME_SIZE = 16384


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])

    @property
    def ends(self) -> bool:
        return self.kind in {DATA, HEADERS} and bool(self.flags & END_STREAM)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def settings(*values: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in values))


def message(content: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + len(content).to_bytes(4) + content


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._decoder = Decoder()

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int, *own_settings: tuple[int, int], greets: bool = True) -> AsyncGenerator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = cls(reader, writer)
        try:
            if greets:
                client.send(PREFACE, settings(*own_settings))
            yield client
        finally:
            writer.close()

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    def request(
        self, stream: int, path: str, content: bytes | None = None, more: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Begin a call, and end it if there is a message."""
        self.send(frame(HEADERS, END_HEADERS, stream, block(path, *more)))
        if content is not None:
            sent = message(content)
            for at in range(0, len(sent), _FRAME_SIZE):
                is_last = at + _FRAME_SIZE >= len(sent)
                self.send(frame(DATA, END_STREAM if is_last else 0, stream, sent[at : at + _FRAME_SIZE]))

    async def read(self) -> bytes:
        """Whatever comes; nothing once the server has closed."""
        try:
            return await self._reader.read(1 << 16)
        except ConnectionResetError:
            return b""

    async def frame(self) -> Frame:
        """The next frame.

        Raises:
            asyncio.IncompleteReadError: the server has closed.
        """
        async with asyncio.timeout(10):
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        return Frame(head[3], head[4], int.from_bytes(head[5:]), payload)

    async def until(self, kind: int, stream: int = 0, flags: int = 0) -> Frame:
        """The next frame of a kind, what comes before is skipped."""
        while True:
            found = await self.frame()
            if (found.kind, found.stream) == (kind, stream) and found.flags & flags == flags:
                return found

    async def answer(self, stream: int) -> tuple[bytes, dict[str, str]]:
        """The messages of a call, with their prefixes, and all headers and trailers."""
        content, headers = b"", dict[str, str]()
        while True:
            found = await self.frame()
            # Of every stream: they change the table.
            said = self._decoder.decode(found.payload) if found.kind == HEADERS else ()
            if found.stream != stream:
                continue
            headers |= {str(name): str(value) for name, value in said}
            if found.kind == DATA:
                content += found.payload
            if found.ends:
                return content, headers

    async def end(self) -> int:
        """The error code with which the server ends the connection."""
        code = (await self.until(GOAWAY)).code
        async with asyncio.timeout(10):
            assert await self._reader.read() == b""
        return code

    async def is_answered(self) -> bool:
        """Whether the connection works."""
        self.send(frame(PING, 0, 0, b"12345678"))
        return (await self.until(PING, flags=ACK)).payload == b"12345678"


def block(path: str, *more: tuple[str, str]) -> bytes:
    """The header block of a call, which changes no table."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    named = {**dict(headers), **dict(more)}
    encoder = Encoder()
    encoder.header_table_size = 0
    # Whatever the order, an encoder with an empty table begins by saying that it is empty: that is left out.
    encoded = encoder.encode([(name, value) for name, value in named.items() if value], huffman=False)
    return encoded.lstrip(b"\x20")
