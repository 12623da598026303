"""What is noted of calls: a line in the access log for each, metrics and traces of inferences."""

from contextlib import nullcontext
from time import perf_counter
from typing import Protocol

from inference_app.access_log import AccessLog
from inference_app.rpc.call import Call
from inference_app.rpc.status import FAULTS, Status
from inference_app.traces import Trace, Tracer

# Source: OpenTelemetry, "Semantic conventions for gRPC".
_STATUS = "rpc.response.status_code"
_GIVEN_UP = {_STATUS: Status.CANCELLED.name}
_NAMES = {status: status.name for status in Status}  # an enum's own property is slow


class Observer(Protocol):
    """Who counts inferences; called in the event loop's thread."""

    def answered(self, model: str, version: str, status: str) -> None:
        """A call for an inference came to an end.

        Args:
            model: The served model's name; empty where the call reached none that is served.
            version: Its version; empty likewise.
            status: gRPC's name of the status code, such as `OK`.
        """
        ...

    def inferred(self, model: str, version: str, quantized: bool, seconds: float) -> None:
        """A successful inference took so long from its last byte to its reply."""
        ...


class Record:
    """Tells all of them.

    Args:
        observer: Who counts.
        access_log: Where calls are noted.
        tracer: Who traces, if somebody does.
    """

    def __init__(self, observer: Observer, access_log: AccessLog, tracer: Tracer | None = None) -> None:
        self._observer = observer
        self._access_log = access_log
        self._tracer = tracer

    def began(self, call: Call) -> Trace | None:
        """Work on an inference begins; returns its trace, if it has one."""
        if self._tracer is not None:
            name = call.headers.path.removeprefix("/")
            attributes = {"rpc.system.name": "grpc", "rpc.method": name}
            call.trace = self._tracer.begin(name, attributes, call.headers.trace, _GIVEN_UP)
        return call.trace

    def ended(self, call: Call, status: Status) -> None:
        """A call ended, one way or another."""
        seconds = perf_counter() - call.began if call.began else 0.0
        served, name = call.served, _NAMES[status]
        if call.method.infers:
            if served is None:
                self._observer.answered("", "", name)
            else:
                self._observer.answered(served.name, served.version, name)
                if status == Status.OK:
                    self._observer.inferred(served.name, served.version, served.model.quantized, seconds)
        with call.trace.in_logs() if call.trace is not None else nullcontext():
            self._access_log.note(call.identity, "POST", call.headers.path, status=name, seconds=seconds, served=served)
        if call.trace is not None and status is not Status.CANCELLED:  # which ends it by itself
            is_fault = status in FAULTS
            ending = {_STATUS: name, "error.type": name} if is_fault else {_STATUS: name}
            call.trace.end(ending, failed=status is not Status.OK, is_fault=is_fault)
