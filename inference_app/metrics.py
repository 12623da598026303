"""What the server counts, in Prometheus' text format."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

# From a single row of a small model to a batch of a large one.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one server; not global, so that several servers fit in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "inference_request",
            "Inference requests answered.",
            ["model", "version", "status_code"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "inference_duration_seconds",
            "Seconds from a request's last byte to its response: decode, wait, infer, encode.",
            ["model", "version"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._load_success = Gauge(
            "model_load_success",
            "1 if the last attempt to load this version succeeded, else 0.",
            ["model", "version"],
            registry=self._registry,
        )
        self._info = Gauge(
            "model_info", "1 for the version that is served.", ["model", "version", "sha256"], registry=self._registry
        )
        self._served: tuple[str, str, str] | None = None

    def answered(self, model: str, version: str, status: int) -> None:
        """Count one inference request; model and version are empty where the request reached none."""
        self._requests.labels(model, version, status).inc()

    def inferred(self, model: str, version: str, seconds: float) -> None:
        """Note how long one successful inference took."""
        self._durations.labels(model, version).observe(seconds)

    def loaded(self, name: str, version: str, sha256: str) -> None:
        """This version is served from now on."""
        self._load_success.labels(name, version).set(1)
        served = (name, version, sha256)
        self._info.labels(*served).set(1)
        if self._served is not None and self._served != served:
            self._info.remove(*self._served)
        self._served = served

    def failed(self, name: str, version: str) -> None:
        """This version could not be fetched or loaded."""
        self._load_success.labels(name, version).set(0)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text exposition format."""
        return generate_latest(self._registry)
