"""What the server counts, in Prometheus' text format.

Everything on the hot path is counted by the event loop's thread alone and without locks; a scrape reads it from the
same thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

# From a single row of a small model to a batch of a large one.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class _Histogram:
    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip([*map(repr, map(float, self._bounds)), "+Inf"], self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric(labels, buckets, self._sum)


@dataclass(slots=True)
class BatchMetrics:
    """The runs of one model version."""

    sizes: _Histogram = field(default_factory=lambda: _Histogram(_ROWS))
    waits: _Histogram = field(default_factory=lambda: _Histogram(_SECONDS))
    rows_waiting: int = 0

    def batch(self, rows: int, waits: Sequence[float]) -> None:
        """A run of so many rows begins; each request that leaves the queue for it has waited so many seconds."""
        self.sizes.observe(rows)
        for wait in waits:
            self.waits.observe(wait)

    def depth(self, rows: int) -> None:
        """So many rows wait now."""
        self.rows_waiting = rows


class Metrics:
    """The metrics of one server; not global, so that several servers fit in one process.

    Args:
        hardware: What computes: "cpu", "cuda", "tensorrt".
    """

    def __init__(self, hardware: str) -> None:
        disable_created_metrics()
        self._hardware = hardware
        self._requests: dict[tuple[str, str, str], int] = {}
        self._durations: dict[tuple[str, str, bool], _Histogram] = {}
        self._batches: dict[tuple[str, str], BatchMetrics] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_HotPath(self._collect))
        self._load_success = Gauge(
            "model_load_success",
            "1 if the last attempt to load this version succeeded, else 0.",
            ["model", "version"],
            registry=self._registry,
        )
        self._info = Gauge(
            "model_info",
            "1 for the version that is served by default.",
            ["model", "version", "sha256"],
            registry=self._registry,
        )
        self._served: dict[str, tuple[str, str, str]] = {}

    def answered(self, model: str, version: str, status: str) -> None:
        """Count one inference request; model and version are empty where the request reached none."""
        key = (model, version, status)
        self._requests[key] = self._requests.get(key, 0) + 1

    def inferred(self, model: str, version: str, quantized: bool, seconds: float) -> None:
        """Note how long one successful inference took, from its last byte to its reply."""
        key = (model, version, quantized)
        histogram = self._durations.get(key)
        if histogram is None:
            histogram = self._durations[key] = _Histogram(_SECONDS)
        histogram.observe(seconds)

    def batches(self, name: str, version: str) -> BatchMetrics:
        """Where the runs of a model version are counted."""
        return self._batches.setdefault((name, version), BatchMetrics())

    def loaded(self, name: str, version: str, sha256: str) -> None:
        """This version is served by default from now on."""
        self._load_success.labels(name, version).set(1)
        served = (name, version, sha256)
        self._info.labels(*served).set(1)
        before = self._served.get(name, served)
        if before != served:
            self._info.remove(*before)
        self._served[name] = served

    def added(self, name: str, version: str) -> None:
        """This version is served, to those who name it, from now on."""
        self._load_success.labels(name, version).set(1)

    def unloaded(self, name: str, version: str) -> None:
        """This version is no longer served; what was counted of its requests stays."""
        self._load_success.remove(name, version)

    def failed(self, name: str, version: str) -> None:
        """This version could not be fetched or loaded."""
        self._load_success.labels(name, version).set(0)

    def exposition(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text exposition format, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "inference_request",
            "Inference requests answered.",
            labels=["model", "version", "status_code", "hardware"],
        )
        for labels, count in [*self._requests.items()]:
            requests.add_metric([*labels, self._hardware], count)
        yield requests
        durations = HistogramMetricFamily(
            "inference_duration_seconds",
            "Seconds from a request's last byte to its reply: decode, wait, infer, encode.",
            labels=["model", "version", "quantized"],
        )
        for (model, version, quantized), histogram in [*self._durations.items()]:
            histogram.add_to(durations, [model, version, str(quantized).lower()])
        yield durations
        yield from self._collect_batches()

    def _collect_batches(self) -> Iterator[Metric]:
        labels = ["model", "version"]
        sizes = HistogramMetricFamily("inference_batch_size", "Rows of each run.", labels=labels)
        waits = HistogramMetricFamily("inference_queue_seconds", "Seconds a request waited for its run.", labels=labels)
        depth = GaugeMetricFamily("inference_queue_rows", "Rows that wait for a run.", labels=labels)
        for key, batches in [*self._batches.items()]:
            batches.sizes.add_to(sizes, key)
            batches.waits.add_to(waits, key)
            depth.add_metric(key, batches.rows_waiting)
        yield sizes
        yield waits
        yield depth


class _HotPath(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()
