"""Inference requests from their complete body to their reply, whichever way they came in."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Protocol

from inference_app.errors import InvalidRequestError, ServingError, UnknownModelError
from inference_app.http.reply import CLIENT_CLOSED_REQUEST, Headers, Reply, error_reply, internal_error_reply
from inference_app.logs import request_id
from inference_app.model import Cancellable, Models, Outcome, ServedModel
from inference_app.protocols import Codec, PlainCodec, V1Codec, V2Codec
from inference_app.protocols.codec import Body
from inference_app.traces import Trace, Tracer

_log = logging.getLogger(__name__)

JSON_SIZE_HEADER = b"inference-header-content-length"

RequestHeaders = Sequence[tuple[bytes, bytes]]
Then = Callable[[Reply, ServedModel | None], None]

_STATUS = "http.response.status_code"
_V1 = "/v1/models/"
_V2 = "/v2/models/"
_PLAIN = "/predict"
_USUAL = re.compile(rb"[A-Za-z0-9/:._-]+")  # no query, no escapes
_MOST_ROUTES = 4096  # remembered; the paths of a handful of models and versions


class InferenceObserver(Protocol):
    """Who counts requests."""

    def answered(self, model: str, version: str, status: str) -> None:
        """An inference request got its reply; model and version are empty where it reached none."""
        ...

    def inferred(self, model: str, version: str, quantized: bool, seconds: float) -> None:
        """A successful inference took so long from its last byte to its reply."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where an inference request goes.

    Attributes:
        codec: The protocol that it is in.
        path: Of the URL.
        template: The path, with placeholders for names.
        name: The model; None for the only one here.
        version: The version; None for the default one.
    """

    codec: Codec
    path: str
    template: str
    name: str | None
    version: str | None = None


class Inference:
    """Everything between a request's body and its reply; for the event loop's thread.

    Args:
        models: What is served.
        observer: Who counts.
        tracer: Who traces, if somebody does.
    """

    def __init__(self, models: Models, observer: InferenceObserver, tracer: Tracer | None = None) -> None:
        self.models = models
        self._observer = observer
        self._tracer = tracer
        self._v1, self._v2, self._plain = V1Codec(), V2Codec(), PlainCodec()
        self._routes: dict[bytes, Route] = {}
        self._headers: dict[tuple[str, str], Headers] = {}

    def hot_route(self, url: bytes) -> Route | None:
        """Where a POST with this request target goes; None if it is no inference, or written in an unusual way."""
        route = self._routes.get(url)
        if route is None and _USUAL.fullmatch(url):
            route = self.route(url.decode("ascii"))
            if route is not None and len(self._routes) < _MOST_ROUTES:
                self._routes[url] = route
        return route

    def start(  # noqa: PLR0913, PLR0917 - what there is to know of a request
        self,
        route: Route,
        body: Body,
        headers: RequestHeaders,
        json_size: bytes | None,
        identity: str,
        then: Then,
    ) -> Cancellable | None:
        """Answer a request.

        Args:
            route: Where it goes.
            body: Its whole content.
            headers: All of them.
            json_size: The header `Inference-Header-Content-Length` of V2's binary extension, if it came.
            identity: The request's id, for the log.
            then: Called once with the reply and with who gave it, possibly before this returns.

        Returns:
            What gives the request up while it waits for its turn; None if it was answered.
        """
        began = perf_counter()
        served: ServedModel | None = None
        trace: Trace | None = None
        if self._tracer is not None:
            trace, then = _traced(self._tracer, route, headers, identity, then)

        def reply(outcome: Reply) -> None:
            name, version = (served.name, served.version) if served is not None else ("", "")
            self._observer.answered(name, version, str(outcome.status))
            if outcome.status == 200 and served is not None:
                self._observer.inferred(name, version, served.model.quantized, perf_counter() - began)
            then(outcome, served)

        try:
            served = model = self._find(route)
            own_headers = self._headers_of(served)
            request = route.codec.decode(body, served.model.signature, _size(json_size))
            deadline = None if request.timeout is None else monotonic() + request.timeout

            def encode(outcome: Outcome) -> None:
                if isinstance(outcome, Exception):
                    reply(self._failure(outcome, identity, own_headers))
                    return
                try:
                    encoded = route.codec.encode(outcome, request, model)
                except Exception as error:
                    reply(self._failure(error, identity, own_headers))
                    return
                more = own_headers
                if encoded.json_size is not None:
                    more = (*own_headers, (JSON_SIZE_HEADER, b"%d" % encoded.json_size))
                reply(Reply(200, encoded.body, encoded.content_type, more))

            if trace is not None:
                return trace.start(served, request.inputs, deadline, encode)
            return served.model.start(request.inputs, deadline, encode)
        except Exception as error:
            with trace.in_logs() if trace is not None else nullcontext():
                reply(self._failure(error, identity, self._headers_of(served) if served is not None else ()))
            return None

    def given_up(self, served: ServedModel | None) -> None:
        """The client of a request went away before its reply."""
        name, version = (served.name, served.version) if served is not None else ("", "")
        self._observer.answered(name, version, str(CLIENT_CLOSED_REQUEST))

    def refuse(self, error: ServingError) -> Reply:
        """Answer a request that never became complete, and count it; whatever of it is still to come stays unread."""
        answer = error_reply(error)
        answer.closes = True
        self._observer.answered("", "", str(answer.status))
        return answer

    def _find(self, route: Route) -> ServedModel:
        name = route.name
        if name is None:
            only = self.models.only
            if only is None:
                known = ", ".join(f"/v1/models/{slot.name}:predict" for slot in self.models)
                raise UnknownModelError(f"this server has several models; say which: {known}")
            name = only.name
        return self.models.find(name, route.version)

    def route(self, path: str) -> Route | None:
        """Where a POST to this path, without escapes, goes; None if it is no inference."""
        if path == _PLAIN:
            return Route(self._plain, path, path, None)
        if path.startswith(_V1) and path.endswith(":predict"):
            target, codec, before, after = path[len(_V1) : -len(":predict")], self._v1, _V1, ":predict"
        elif path.startswith(_V2) and path.endswith("/infer"):
            target, codec, before, after = path[len(_V2) : -len("/infer")], self._v2, _V2, "/infer"
        else:
            return None
        match target.split("/"):
            case [name] if name:
                return Route(codec, path, f"{before}{{name}}{after}", name)
            case [name, "versions", version] if name and version:
                return Route(codec, path, f"{before}{{name}}/versions/{{version}}{after}", name, version)
            case _:
                return None

    def _headers_of(self, served: ServedModel) -> Headers:
        key = (served.name, served.version)
        headers = self._headers.get(key)
        if headers is None:
            self._headers[key] = headers = (
                (b"x-model-name", served.name.encode()),
                (b"x-model-version", served.version.encode()),
            )
        return headers

    @staticmethod
    def _failure(error: Exception, identity: str, headers: Headers) -> Reply:
        if isinstance(error, ServingError):
            return error_reply(error, headers)
        token = request_id.set(identity)
        _log.error("unhandled exception", exc_info=error)
        request_id.reset(token)
        return internal_error_reply(identity, headers)


def _traced(tracer: Tracer, route: Route, headers: RequestHeaders, identity: str, then: Then) -> tuple[Trace, Then]:
    """Begin a trace that ends with the reply. Source: OpenTelemetry, "Semantic conventions for HTTP spans"."""
    attributes = {
        "http.request.method": "POST",
        "http.route": route.template,
        "url.path": route.path,
        "url.scheme": "http",
        "http.request.header.x-request-id": (identity,),
    }
    trace = tracer.begin(f"POST {route.template}", attributes, headers, {_STATUS: CLIENT_CLOSED_REQUEST})

    def end(reply: Reply, served: ServedModel | None) -> None:
        trace.answered()
        with trace.in_logs():
            then(reply, served)
        status = reply.status
        is_fault = status >= 500
        ending = {_STATUS: status, "error.type": str(status)} if is_fault else {_STATUS: status}
        trace.end(ending, failed=status != 200, is_fault=is_fault)

    return trace, end


def _size(header: bytes | None) -> int | None:
    if header is None:
        return None
    if not header.isdigit() or len(header) > 18:
        raise InvalidRequestError("header Inference-Header-Content-Length: expected a number of bytes")
    return int(header)
