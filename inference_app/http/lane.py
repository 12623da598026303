"""The hot path: inference requests answered by the connection itself, around ASGI and routing.

uvicorn makes a scope, a task and two queues for every request, and FastAPI resolves its routes; for a small model that
is several times what the prediction costs. So a connection whose request line is an inference collects the body, hands
it to `Inference` and writes the reply. Every other request, and whatever is unusual in an inference (pipelining behind
an unfinished request or unread replies, `Expect`, a query, escapes), goes uvicorn's usual way and meets the same
`Inference` there.
"""

from time import perf_counter
from typing import Any, ClassVar

from inference_app.access_log import AccessLog
from inference_app.errors import OverloadedError, ServingError, TooLargeError
from inference_app.http.connection import Connection, Part
from inference_app.http.inference import JSON_SIZE_HEADER, Inference, Route
from inference_app.http.reply import CLIENT_CLOSED_REQUEST, Reply
from inference_app.identity import HEADER, identify
from inference_app.limits import BodyLimits
from inference_app.model import Cancellable, ServedModel


class _Exchange:
    """One inference on one connection; has the attributes by which uvicorn's protocol looks at its own."""

    __slots__ = (
        "began",
        "body",
        "disconnected",
        "headers",
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
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | bytearray = b""
        self.size = 0
        self.identity = ""
        self.json_size: bytes | None = None
        self.began = 0.0
        self.is_complete = False  # the whole body is here
        self.pending: Cancellable | None = None
        self.response_complete = False
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class _NobodyWaits:
    def set(self) -> None:
        """What uvicorn wakes its own tasks by; an exchange has none."""


_NOBODY_WAITS = _NobodyWaits()


class Lane(Connection):
    """A connection; `lane` makes the class that a server is given.

    Attributes:
        inference: Who answers.
    """

    inference: ClassVar[Inference]

    _exchange: _Exchange | None = None

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

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """Nothing but what every request needs."""
        self.part = Part.HEAD
        self.bytes_beside_bodies = 0
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Choose the way."""
        route = None
        cycle: Any = self.cycle
        if (cycle is None or cycle.response_complete) and not self.flow.write_paused:
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
        exchange = _Exchange(route, self.url.decode("ascii"), keep_alive and not self.models.is_draining())
        offered: bytes | None = None
        announced = 0
        for name, value in self.headers:
            if name == HEADER:
                offered = value if offered is None else offered
            elif name == JSON_SIZE_HEADER:
                exchange.json_size = value if exchange.json_size is None else exchange.json_size
            elif name == b"content-length":
                announced = int(value)
        exchange.identity = identify(offered)
        exchange.headers, self.headers = self.headers, []  # what comes after the body is none of them
        self._exchange = exchange
        self.cycle = exchange  # pyright: ignore[reportAttributeAccessIssue] - it has what uvicorn's protocol looks at
        self.part = Part.BODY
        if announced > self.limits.body:
            self._refuse(exchange, TooLargeError(f"body: larger than {self.limits.body} bytes"))

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        exchange = self._current()
        if exchange is None:
            super().on_body(body)
            return
        self.bytes_beside_bodies = 0
        if exchange.response_complete:
            return
        if exchange.size + len(body) > self.limits.body:
            self._refuse(exchange, TooLargeError(f"body: larger than {self.limits.body} bytes"))
            return
        if not self.limits.take(len(body)):
            self._refuse(exchange, OverloadedError("too many requests are being received"))
            return
        exchange.size += len(body)
        if not exchange.body:
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
        self.part = Part.NOTHING
        self.calm()
        if exchange.response_complete:
            return
        exchange.is_complete = True
        exchange.began = perf_counter()

        def reply(answer: Reply, served: ServedModel | None) -> None:
            if exchange is self._exchange:
                self._write(exchange, answer, served)

        pending = self.inference.start(
            exchange.route, exchange.body, exchange.headers, exchange.json_size, exchange.identity, reply
        )
        if not exchange.response_complete:
            exchange.pending = pending

    def _current(self) -> _Exchange | None:
        """The exchange that the parser is at; None if it is at a request that goes the usual way."""
        cycle: object = self.cycle
        return cycle if isinstance(cycle, _Exchange) else None

    def give_up(self, error: ServingError) -> None:
        """Answer a request that will never be whole; if it is an inference, as one."""
        exchange = self._exchange
        if exchange is not None and not exchange.is_complete:
            self._refuse(exchange, error)
        else:
            super().give_up(error)

    def _hot_route(self) -> Route | None:
        parser: Any = self.parser
        if self.expect_100_continue or parser.get_method() != b"POST" or parser.should_upgrade():
            return None
        return self.inference.hot_route(self.url)

    def _refuse(self, exchange: _Exchange, error: ServingError) -> None:
        self._write(exchange, self.inference.refuse(error), None)

    def _write(self, exchange: _Exchange, answer: Reply, served: ServedModel | None) -> None:
        closes = answer.closes or not exchange.keep_alive
        self._end(exchange)
        self._note(exchange, answer.status, served)
        if self.transport.is_closing():
            return
        self.transport.write(self.on_wire(answer, exchange.identity, closes=closes))
        if closes:
            self.transport.close()
        self.on_response_complete()

    def _end(self, exchange: _Exchange) -> None:
        exchange.response_complete = True
        exchange.pending = None
        self.limits.give_back(exchange.size)
        self._exchange = None

    def _note(self, exchange: _Exchange, status: int, served: ServedModel | None) -> None:
        seconds = perf_counter() - exchange.began if exchange.began else 0.0
        self.access.note(exchange.identity, "POST", exchange.path, status=status, seconds=seconds, served=served)


def lane(inference: Inference, limits: BodyLimits, access_log: AccessLog) -> type[Connection]:
    """The protocol class for uvicorn's `http` setting."""
    members = {"inference": inference, "limits": limits, "access": access_log, "models": inference.models}
    return type("Lane", (Lane,), members)
