"""Traces of inferences (OpenTelemetry); off unless the environment says where to send them."""

from inference_app.traces.configure import configured_tracer
from inference_app.traces.trace import Trace, Tracer

__all__ = ["Trace", "Tracer", "configured_tracer"]
