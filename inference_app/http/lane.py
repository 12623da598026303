"""The hot path: inference requests answered by the connection itself, around ASGI and routing.

uvicorn makes a scope, a task and two queues for every request, and FastAPI resolves its routes; for a small model that
is several times what the prediction costs. So a connection whose request line is an inference collects the body, hands
it to `Inference` and writes the reply. Every other request, and whatever is unusual in an inference (pipelining behind
an unfinished request, `Expect`, a query, escapes), goes uvicorn's usual way and meets the same `Inference` there.
"""

import asyncio
from functools import lru_cache
from time import perf_counter
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference_app.access_log import AccessLog
from inference_app.errors import OverloadedError, ServingError, SlowSenderError, TooLargeError
from inference_app.http.inference import JSON_SIZE_HEADER, Inference, Route
from inference_app.http.reply import CLIENT_CLOSED_REQUEST, Headers, Reply
from inference_app.identity import HEADER, identify
from inference_app.limits import BodyLimits
from inference_app.model import Cancellable, ServedModel


class _Exchange:
    """One inference on one connection; has the attributes by which uvicorn's protocol looks at its own."""

    __slots__ = (
        "alarm",
        "began",
        "body",
        "disconnected",
        "identity",
        "is_complete",
        "json_size",
        "keep_alive",
        "message_event",
        "path",
        "pending",
        "response_complete",
        "route",
        "size",
    )

    def __init__(self, route: Route, path: str, keep_alive: bool) -> None:
        self.route = route
        self.path = path
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = b""
        self.size = 0
        self.identity = ""
        self.json_size: bytes | None = None
        self.began = 0.0
        self.is_complete = False  # the whole body is here
        self.pending: Cancellable | None = None
        self.alarm: asyncio.TimerHandle | None = None
        self.response_complete = False
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class _NobodyWaits:
    def set(self) -> None:
        """What uvicorn wakes its own tasks by; an exchange has none."""


_NOBODY_WAITS = _NobodyWaits()


class Lane(HttpToolsProtocol):
    """A connection; `lane` makes the class that a server is given.

    Attributes:
        inference: Who answers.
        limits: How much of bodies is taken.
        access: Where requests are noted.
    """

    inference: ClassVar[Inference]
    limits: ClassVar[BodyLimits]
    access: ClassVar[AccessLog]

    _exchange: _Exchange | None = None
    _default_headers: ClassVar[tuple[object, bytes]] = (None, b"")

    def data_received(self, data: bytes) -> None:
        """Parse what came; a body that is not whole yet gets an alarm clock."""
        super().data_received(data)
        exchange = self._exchange
        if exchange is not None and not exchange.is_complete and exchange.alarm is None:
            exchange.alarm = self.loop.call_later(self.limits.seconds, self._too_slow, exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what the client waits for no more."""
        exchange = self._exchange
        if exchange is not None:
            if exchange.pending is not None:
                exchange.pending.cancel()
            self._end(exchange)
            self.inference.given_up(None)
            self._note(exchange, CLIENT_CLOSED_REQUEST, None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """A client that doesn't read its replies gets to send no further requests."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """It has read them."""
        super().resume_writing()
        self.flow.resume_reading()

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """Nothing but what every request needs."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Choose the way."""
        route = None
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            route = self._hot_route()
        if route is None:
            url, headers, expect = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expect
            self.headers.extend(headers)
            super().on_headers_complete()
            return
        parser: Any = self.parser
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        exchange = _Exchange(route, self.url.decode("ascii"), keep_alive)
        offered: bytes | None = None
        announced = 0
        for name, value in self.headers:
            if name == HEADER:
                offered = value
            elif name == JSON_SIZE_HEADER:
                exchange.json_size = value
            elif name == b"content-length":
                announced = int(value)
        exchange.identity = identify(offered)
        self._exchange = exchange
        self.cycle = exchange  # pyright: ignore[reportAttributeAccessIssue] - it has what uvicorn's protocol looks at
        if announced > self.limits.body:
            self._refuse(exchange, TooLargeError(f"body: larger than {self.limits.body} bytes"))

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        exchange = self._current()
        if exchange is None:
            super().on_body(body)
            return
        if exchange.response_complete:
            return
        exchange.size += len(body)
        if exchange.size > self.limits.body:
            self._refuse(exchange, TooLargeError(f"body: larger than {self.limits.body} bytes"))
        elif not self.limits.take(len(body)):
            exchange.size -= len(body)
            exchange.keep_alive = False  # the rest of the body stays unread
            self._refuse(exchange, OverloadedError("too many requests are being received"))
        elif not exchange.body:
            exchange.body = body  # most bodies come in one piece: no copy
        else:
            if type(exchange.body) is bytes:
                exchange.body = bytearray(exchange.body)
            exchange.body += body

    def on_message_complete(self) -> None:
        """Answer."""
        exchange = self._current()
        if exchange is None:
            super().on_message_complete()
            return
        if exchange.response_complete:
            return
        exchange.is_complete = True
        if exchange.alarm is not None:
            exchange.alarm.cancel()
        exchange.began = perf_counter()

        def reply(answer: Reply, served: ServedModel | None) -> None:
            if exchange is self._exchange:
                self._write(exchange, answer, served)

        pending = self.inference.start(
            exchange.route, exchange.body, self.headers, exchange.json_size, exchange.identity, reply
        )
        if not exchange.response_complete:
            exchange.pending = pending

    def _current(self) -> _Exchange | None:
        """The exchange that the parser is at; None if it is at a request that goes the usual way."""
        cycle: object = self.cycle
        return cycle if isinstance(cycle, _Exchange) else None

    def _hot_route(self) -> Route | None:
        parser: Any = self.parser
        if self.expect_100_continue or parser.get_method() != b"POST" or parser.should_upgrade():
            return None
        try:
            return self.inference.route(self.url.decode("ascii"))
        except UnicodeDecodeError:
            return None

    def _too_slow(self, exchange: _Exchange) -> None:
        if exchange is self._exchange and not exchange.is_complete:
            self._refuse(exchange, SlowSenderError(f"body: not complete within {self.limits.seconds:g} s"))

    def _refuse(self, exchange: _Exchange, error: ServingError) -> None:
        self._write(exchange, self.inference.refuse(error), None)

    def _write(self, exchange: _Exchange, answer: Reply, served: ServedModel | None) -> None:
        closes = answer.closes or not exchange.keep_alive
        head = (
            _head(answer.status, answer.content_type, answer.headers),
            self._defaults(),
            b"x-request-id: ",
            exchange.identity.encode("ascii"),
            b"\r\ncontent-length: %d\r\n" % len(answer.body),
            b"connection: close\r\n\r\n" if closes else b"\r\n",
            answer.body,
        )
        self._end(exchange)
        self._note(exchange, answer.status, served)
        if self.transport.is_closing():
            return
        self.transport.write(b"".join(head))
        if closes:
            self.transport.close()
        self.on_response_complete()

    def _end(self, exchange: _Exchange) -> None:
        exchange.response_complete = True
        exchange.pending = None
        if exchange.alarm is not None:
            exchange.alarm.cancel()
        self.limits.give_back(exchange.size)
        self._exchange = None

    def _note(self, exchange: _Exchange, status: int, served: ServedModel | None) -> None:
        seconds = perf_counter() - exchange.began if exchange.began else 0.0
        self.access.note(exchange.identity, "POST", exchange.path, status=status, seconds=seconds, served=served)

    def _defaults(self) -> bytes:
        """Uvicorn's own headers, of which `date` changes every second."""
        headers = self.server_state.default_headers
        known, joined = Lane._default_headers
        if headers is not known:
            joined = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
            Lane._default_headers = (headers, joined)
        return joined


@lru_cache(maxsize=1024)
def _head(status: int, content_type: bytes, headers: Headers) -> bytes:
    """The status line and the headers that many replies have in common."""
    lines = [STATUS_LINE[status], b"content-type: %s\r\n" % content_type]
    lines += [b"%s: %s\r\n" % header for header in headers]
    return b"".join(lines)


def lane(inference: Inference, limits: BodyLimits, access_log: AccessLog) -> type[Any]:
    """The protocol class for uvicorn's `http` setting."""
    return type("Lane", (Lane,), {"inference": inference, "limits": limits, "access": access_log})
