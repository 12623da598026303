"""The trace of one inference: a server span, and below it decode, queue, run and encode.

While a request is worked on only the times are taken; spans are made of them when its answer is on its way.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from time import monotonic, time_ns

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from inference_app.logs import trace_id
from inference_app.model import Cancellable, Outcome, RunRecord, ServedModel, Tensors

_log = logging.getLogger(__name__)

Attributes = Mapping[str, AttributeValue]
WireHeaders = Iterable[tuple[bytes, bytes]]
"""Headers as they came, names in lower case."""


class _HeaderGetter(Getter[WireHeaders]):
    def get(self, carrier: WireHeaders, key: str) -> list[str] | None:
        wanted = key.encode()
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: WireHeaders) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_GETTER = _HeaderGetter()


class Tracer:
    """Begins traces.

    Args:
        tracer: OpenTelemetry's, which samples, and passes on what is to be sent without waiting for it.
        shutdown: Sends what is left; may take long where nobody takes it.
    """

    def __init__(self, tracer: trace.Tracer, shutdown: Callable[[], None]) -> None:
        self._tracer = tracer
        self._shutdown = shutdown

    def begin(self, name: str, attributes: Attributes, headers: WireHeaders, given_up: Attributes) -> "Trace":
        """A request is complete, and work on it begins.

        Args:
            name: Of its span.
            attributes: Likewise.
            headers: Of the request; the trace continues the one that they name (W3C Trace Context).
            given_up: Further attributes, if the client goes away.
        """
        return Trace(self._tracer, name, attributes, headers, given_up)

    def close(self, seconds: float) -> None:
        """Send what is left, as far as this time allows."""
        closing = threading.Thread(target=self._shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(seconds)
        if closing.is_alive():
            _log.warning("the last spans could not be sent within %g s", seconds)


class Trace:
    """A request on its way; for the event loop's thread. See `Tracer.begin`.

    Attributes:
        id: The trace's, as logs and other services write it.
    """

    __slots__ = (
        "_answered",
        "_began",
        "_decoded",
        "_encoding",
        "_given_up",
        "_runs",
        "_served",
        "_span",
        "_ticket",
        "_tracer",
        "_zero",
        "id",
    )

    def __init__(
        self, tracer: trace.Tracer, name: str, attributes: Attributes, headers: WireHeaders, given_up: Attributes
    ) -> None:
        self._tracer = tracer
        self._given_up = given_up
        self._began = monotonic()
        self._zero = time_ns() - int(self._began * 1e9)
        self._decoded: float | None = None
        self._encoding: float | None = None
        self._answered: float | None = None
        self._runs: list[RunRecord] = []
        self._served: ServedModel | None = None
        self._ticket: Cancellable | None = None
        parent = propagate.extract(headers, getter=_GETTER)
        began = self._nanoseconds(self._began)
        self._span: Span | None = tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=began)
        self.id = trace.format_trace_id(self._span.get_span_context().trace_id)

    @contextmanager
    def in_logs(self) -> Generator[None]:
        """What is logged here belongs to the trace."""
        token = trace_id.set(self.id)
        try:
            yield
        finally:
            trace_id.reset(token)

    def start(
        self, served: ServedModel, inputs: Tensors, deadline: float | None, then: Callable[[Outcome], None]
    ) -> Cancellable:
        """The request is decoded: as `Model.start`, with an eye on the clock."""
        self._served = served
        self._decoded = monotonic()

        def finish(outcome: Outcome) -> None:
            if not isinstance(outcome, Exception):
                self._encoding = monotonic()
            with self.in_logs():
                then(outcome)

        self._ticket = served.model.start(inputs, deadline, finish, self._runs)
        return self

    def cancel(self) -> None:
        """The client went away; without effect if it has its answer."""
        if self._ticket is not None:
            self._ticket.cancel()
        self.end(self._given_up)

    def answered(self) -> None:
        """The reply is ready, and about to be written."""
        self._answered = monotonic()

    def end(self, attributes: Attributes, *, failed: bool = False, is_fault: bool = False) -> None:
        """Make the spans; without effect if they are made.

        Args:
            attributes: Further ones, of how the request ended.
            failed: Whether the client got something else than a prediction; shown on the last stage.
            is_fault: Whether that is an error of the server, as the conventions of the protocol see it.
        """
        span, self._span = self._span, None
        if span is None or not span.is_recording():
            return
        end = self._answered or monotonic()
        parent = trace.set_span_in_context(span)
        stages = self._stages(end, failed)
        for place, (name, began, ended, about) in enumerate(stages, 1):
            stage = self._tracer.start_span(name, parent, attributes=about, start_time=self._nanoseconds(began))
            if failed and place == len(stages):
                stage.set_status(Status(StatusCode.ERROR))
            stage.end(self._nanoseconds(ended))
        span.set_attributes(attributes)
        if self._served is not None:
            model = {"inference.model.name": self._served.name, "inference.model.version": self._served.version}
            span.set_attributes(model)
        if is_fault:
            span.set_status(Status(StatusCode.ERROR))
        span.end(self._nanoseconds(end))

    def _stages(self, end: float, failed: bool) -> list[tuple[str, float, float, Attributes]]:
        """Name, beginning, end and attributes of each stage that was reached."""
        decoded, encoding = self._decoded, self._encoding
        if decoded is None:
            return [("decode", self._began, end, {})]
        stages: list[tuple[str, float, float, Attributes]] = [("decode", self._began, decoded, {})]
        if self._runs:
            stages.append(("queue", decoded, self._runs[0].began, {}))
        elif failed or encoding is None:  # else the outputs were known already
            stages.append(("queue", decoded, end, {}))
        for run in self._runs:
            ended = end if run.ended is None else run.ended
            stages.append(("run", run.began, ended, {"inference.batch.size": run.rows}))
        if encoding is not None:
            stages.append(("encode", encoding, end, {}))
        return stages

    def _nanoseconds(self, moment: float) -> int:
        return self._zero + int(moment * 1e9)
