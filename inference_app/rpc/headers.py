"""Headers of gRPC over HTTP/2: reading a request's, writing a response's.

Source: gRPC, "gRPC over HTTP2"; RFC 7541 (HPACK). What this server writes never touches the peer's dynamic table, so
that a header block is the same bytes on every connection.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from hpack import Decoder, HPACKError, OversizedHeaderListError

from inference_app.identity import HEADER
from inference_app.model import ServedModel
from inference_app.rpc.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, Http2Error
from inference_app.rpc.status import Status

LARGEST_HEADERS: Final = 16384  # bytes of one request's header list, as HPACK counts them

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_ENCODINGS = {b"identity": False, b"gzip": True, b"deflate": True}
_REQUIRED = {b":method", b":scheme", b":path"}
_PSEUDO = {*_REQUIRED, b":authority"}
_OF_CONNECTIONS = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_TRACE = {b"traceparent", b"tracestate", b"baggage"}
_NAME = re.compile(rb":?[!#$%&'*+.^_`|~0-9a-z-]+")
_CONTENT_TYPE = re.compile(rb"application/grpc(\+proto)?( *;.*)?", re.DOTALL)
_FORBIDDEN_IN_VALUES = re.compile(rb"[\0\r\n]")
_REMEMBERED = 64  # header blocks; a client that reuses its connection sends few different ones


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """What the headers of a request say.

    Attributes:
        path: `/package.Service/Method`.
        request_id: The client's own identity of the request, if it has one.
        is_malformed: Whether HTTP/2 forbids such headers.
        is_grpc: Whether it is a gRPC request at all.
        timeout: Seconds in which the client wants its answer; None to wait.
        compressed: Whether messages may be compressed; None where the client uses a method that is unknown here.
        trace: Those that name the trace it belongs to (W3C Trace Context).
    """

    path: str
    request_id: bytes | None
    is_malformed: bool
    is_grpc: bool
    timeout: float | None
    compressed: bool | None
    trace: tuple[tuple[bytes, bytes], ...]


class HeaderReader:
    """Decodes the header blocks of one connection, which must come in order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=LARGEST_HEADERS)
        self._known: dict[bytes, RequestHeaders] = {}

    def read(self, block: bytes) -> RequestHeaders:
        """Decode one block.

        Raises:
            Http2Error: it is not HPACK, or too large.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        headers = _parse(self._decode(block))
        if all(byte & 0x80 for byte in block) and len(self._known) < _REMEMBERED:
            # References only: it changes nothing, and says the same until another block changes the dynamic table.
            self._known[block] = headers
        return headers

    def skip(self, block: bytes) -> None:
        """Decode one block for what it does to the dynamic table.

        Raises:
            Http2Error: it is not HPACK, or too large.
        """
        self._decode(block)

    def _decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        table = self._decoder.header_table
        before = [*table.dynamic_entries]
        try:
            headers = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            # What is left of the block could have changed the dynamic table, so there is no going on.
            raise Http2Error(ENHANCE_YOUR_CALM, f"headers are larger than {LARGEST_HEADERS} bytes") from None
        except HPACKError as error:
            raise Http2Error(COMPRESSION_ERROR, f"header block: {error}") from None
        if before != [*table.dynamic_entries]:
            self._known.clear()
        return headers


def _parse(headers: list[tuple[bytes, bytes]]) -> RequestHeaders:
    named = dict(headers)
    encoding = named.get(b"grpc-encoding", b"identity")
    return RequestHeaders(
        path=named.get(b":path", b"").decode(errors="replace"),
        request_id=named.get(HEADER),
        is_malformed=_is_malformed(headers, named),
        is_grpc=named.get(b":method") == b"POST" and bool(_CONTENT_TYPE.fullmatch(named.get(b"content-type", b""))),
        timeout=_seconds(named.get(b"grpc-timeout", b"")),
        compressed=_ENCODINGS.get(encoding),
        trace=tuple([header for header in headers if header[0] in _TRACE]),
    )


def _is_malformed(headers: list[tuple[bytes, bytes]], named: dict[bytes, bytes]) -> bool:
    """Whether a request has headers as RFC 9113, sections 8.2 and 8.3, forbids them."""
    names = [name for name, _ in headers]
    pseudo = [name for name in names if name[:1] == b":"]
    return (
        any(not _NAME.fullmatch(name) or name in _OF_CONNECTIONS for name in names)
        or any(_FORBIDDEN_IN_VALUES.search(value) for _, value in headers)
        or names[: len(pseudo)] != pseudo
        or len({*pseudo}) != len(pseudo)
        or not {*pseudo} <= _PSEUDO
        or not all(named.get(name) for name in _REQUIRED)
        or named.get(b"te", b"trailers") != b"trailers"
    )


def _seconds(timeout: bytes) -> float | None:
    number, unit = timeout[:-1], timeout[-1:]
    # At most 8 digits by the protocol; what is no timeout is none.
    if not number.isdigit() or len(number) > 8 or unit not in _UNITS:
        return None
    return int(number) * _UNITS[unit]


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    prefix, size = bytearray((127,)), size - 127
    while size >= 128:
        prefix.append(size & 127 | 128)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text


_STATUS_200 = b"\x88"  # an entry of HPACK's static table
RESPONSE: Final = (
    _STATUS_200
    + _literal(b"content-type", b"application/grpc")
    + _literal(b"grpc-accept-encoding", b"identity,deflate,gzip")
)
TRAILERS_OK: Final = _literal(b"grpc-status", b"0")
NOT_GRPC: Final = _literal(b":status", b"415")


def trailers(status: Status, message: str) -> bytes:
    """How a call ended that did not end well; the message may be any text."""
    escaped = quote(message[:1024], safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~", errors="replace").encode()
    return _literal(b"grpc-status", b"%d" % status) + _literal(b"grpc-message", escaped)


def said_of(identity: str, served: ServedModel | None) -> bytes:
    """What all trailers say: which request this was, and who answered it."""
    block = _REQUEST_ID + _string(identity.encode())
    return block if served is None else block + _named(served.name, served.version)


@lru_cache(maxsize=1024)
def _named(name: str, version: str) -> bytes:
    return _literal(b"x-model-name", name.encode()) + _literal(b"x-model-version", version.encode())


_REQUEST_ID = b"\0" + _string(HEADER)
