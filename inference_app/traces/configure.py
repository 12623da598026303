"""Whether there are traces, and where they go: the variables that every OpenTelemetry SDK reads, and no others.

Source: OpenTelemetry, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from inference_app import SERVER, VERSION
from inference_app.settings import SettingsError
from inference_app.traces.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_SERVICE_NAME = "service.name"


def configured_tracer(environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """Who makes traces; None, with nothing imported and nothing running, where the environment wants none.

    Args:
        environment: Says whether there are traces; what there is to say of them the SDK reads from the process's own.

    Raises:
        SettingsError: they are wanted in a form that this server does not send.
    """
    endpoint = next((name for name in _ENDPOINTS if environment.get(name)), None)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter == "none":
        return None
    _require("OTEL_TRACES_EXPORTER", exporter, exporter == "otlp", "otlp or none")
    for name in _PROTOCOLS:
        protocol = environment.get(name) or _PROTOCOL
        _require(name, protocol, protocol == _PROTOCOL, _PROTOCOL)
    url = urlsplit(environment[endpoint])
    is_web = url.scheme in ("http", "https") and bool(url.hostname)
    _require(endpoint, environment[endpoint], is_web, "an http:// or https:// URL")
    return _tracer()


def _require(name: str, value: str, holds: bool, takes: str) -> None:
    if not holds:
        raise SettingsError(f"{name} got {value[:200]!r}; it takes {takes}")


def _tracer() -> Tracer:
    # Here, because who has no traces is not to wait for these at every start.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource({"service.version": VERSION}).merge(Resource.create())
    if str(resource.attributes[_SERVICE_NAME]).startswith(
        "unknown_service"
    ):  # what the SDK says of those that say nothing
        resource = resource.merge(Resource({_SERVICE_NAME: SERVER}))
    # Not the process's own provider: nothing else here, FastAPI included, is to make spans beside these.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider.get_tracer(SERVER, VERSION), provider.shutdown)
