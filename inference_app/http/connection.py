"""A connection whose client is not trusted: bounded in time and memory, every refusal in the shape of all errors."""

import asyncio
from enum import Enum, auto
from functools import lru_cache
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference_app.access_log import AccessLog
from inference_app.errors import InvalidRequestError, ServingError, SlowSenderError
from inference_app.http.reply import Headers, HeadTooLargeError, Reply, error_reply
from inference_app.identity import identify
from inference_app.limits import BodyLimits
from inference_app.model import Models

_LARGEST_HEAD = 2**16
_MOST_PIPELINED = 64  # of a few bytes each, a single read could bring ten thousand
# An upgrade is only offered (RFC 9110, section 7.8), and these speak of nothing else.
_UPGRADE = frozenset({b"upgrade", b"http2-settings"})


class Part(Enum):
    """What the parser waits for."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with the bounds that it leaves to a proxy.

    Attributes:
        limits: How much may come, and how long anything may take.
        access: Where requests are noted.
        models: While they are drained, clients are to go elsewhere after their next answer.
    """

    limits: ClassVar[BodyLimits]
    access: ClassVar[AccessLog]
    models: ClassVar[Models]

    part = Part.NOTHING
    bytes_beside_bodies = 0  # since the last piece of a body, or the beginning of a request
    _alarm: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _default_headers: ClassVar[tuple[object, bytes]] = (None, b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        """Close it if nothing ever comes."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self.calm()
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is not whole yet gets an alarm clock."""
        self._unset_keepalive_if_required()
        self.bytes_beside_bodies += len(data)
        parser: Any = self.parser
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        except httptools.HttpParserError:
            self.give_up(InvalidRequestError("not HTTP/1.1"))
            return
        if self.bytes_beside_bodies > _LARGEST_HEAD:
            self.give_up(HeadTooLargeError(f"headers: larger than {_LARGEST_HEAD} bytes"))
        elif self.part is not Part.NOTHING and self._alarm is None:
            self._alarm = self.loop.call_later(self.limits.seconds, self._too_slow)

    def pause_writing(self) -> None:
        """A client that doesn't read its replies gets to send no further requests, and not to stay for ever."""
        super().pause_writing()
        self.flow.pause_reading()
        self._await_reader()

    def resume_writing(self) -> None:
        """It has read them."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
        self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close once what is asked is answered, and that may still be on its way."""
        if self.part is not Part.HEAD:
            super().shutdown()

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.part = Part.HEAD
        self.bytes_beside_bodies = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are here."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise ValueError("too many requests wait on this connection")  # the parser's caller gives it up
        parser: Any = self.parser
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            return  # the parser stops here; `_decline` goes on
        super().on_headers_complete()
        self.headers = []  # what comes after the body is none of them (RFC 9110, section 6.5.1)
        self.part = Part.BODY
        if self.models.is_draining():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of its body is here."""
        self.bytes_beside_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self.part = Part.NOTHING
        self.calm()
        parser: Any = self.parser
        if not parser.should_upgrade():
            super().on_message_complete()

    def give_up(self, error: ServingError) -> None:
        """Answer a request that will never be whole, and close; what was asked before it is still answered."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and self.part is not Part.BODY:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self.transport.is_closing():
            return
        has_answer = cycle is not None and (cycle.response_complete or cycle.response_started)
        if self.part is not Part.BODY or not has_answer:
            answer, identity = error_reply(error), identify(None)
            self.access.note(identity, "", "", status=answer.status, seconds=0.0, served=None)
            self.transport.write(self.on_wire(answer, identity, closes=True))
        self.transport.close()

    def on_wire(self, reply: Reply, identity: str, *, closes: bool) -> bytes:
        """A reply as it is sent."""
        return b"".join(
            (
                _head(reply.status, reply.content_type, reply.headers),
                self._defaults(),
                b"x-request-id: ",
                identity.encode("ascii"),
                b"\r\ncontent-length: %d\r\n" % len(reply.body),
                b"connection: close\r\n\r\n" if closes else b"\r\n",
                reply.body,
            )
        )

    def _decline(self, rest: bytes) -> None:
        """Read a request on as if it had offered no upgrade, which the parser cannot do: it skips the body then."""
        parser: Any = self.parser
        lines = [b"%s %s HTTP/%s" % (parser.get_method(), self.url, parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                lines.append(b"connection: " + b", ".join(each for each in tokens if each.lower() not in _UPGRADE))
            elif name not in _UPGRADE:
                lines.append(b"%s: %s" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join((*lines, b"", rest)))

    def _too_slow(self) -> None:
        self._alarm = None
        if self.part is not Part.NOTHING:
            self.give_up(SlowSenderError(f"request: not complete within {self.limits.seconds:g} s"))

    def calm(self) -> None:
        """What was waited for is here."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _await_reader(self) -> None:
        size = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.limits.seconds, self._look_at_reader, size)

    def _look_at_reader(self, size: int) -> None:
        if self.transport.get_write_buffer_size() < size:
            self._await_reader()
        else:
            self.transport.abort()

    def _defaults(self) -> bytes:
        """Uvicorn's own headers, of which `date` changes every second."""
        headers = self.server_state.default_headers
        known, joined = Connection._default_headers
        if headers is not known:
            joined = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
            Connection._default_headers = (headers, joined)
        return joined


@lru_cache(maxsize=1024)
def _head(status: int, content_type: bytes, headers: Headers) -> bytes:
    """The status line and the headers that many replies have in common."""
    lines = [STATUS_LINE[status], b"content-type: %s\r\n" % content_type]
    lines += [b"%s: %s\r\n" % header for header in headers]
    return b"".join(lines)
