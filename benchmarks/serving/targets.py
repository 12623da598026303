"""What ours has to reach beside its peers."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving.measurements import CPU, P99, THROUGHPUT, Ratio
from benchmarks.serving.works import LOOP


@dataclass(frozen=True)
class Target:
    """A ratio of ours over theirs: at least so much throughput, or at most so much CPU time or latency."""

    work: str
    peer: str
    metric: str
    bound: float

    @property
    def is_least(self) -> bool:
        """More is better."""
        return self.metric == THROUGHPUT

    def ratio(self, ratios: Sequence[Ratio]) -> float | None:
        """What was measured; None if it was not."""
        found = [r.ratio for r in ratios if (r.work, r.peer, r.metric) == (self.work, self.peer, self.metric)]
        return found[0] if found else None

    def is_met(self, ratios: Sequence[Ratio]) -> bool:
        """It was measured, and is good enough."""
        ratio = self.ratio(ratios)
        return ratio is not None and (ratio >= self.bound if self.is_least else ratio <= self.bound)

    def __str__(self) -> str:
        return f"{self.work}: {self.metric} {'at least' if self.is_least else 'at most'} {self.bound:g} x {self.peer}"


TARGETS = (
    Target("tabular-c64", "mlserver", THROUGHPUT, 8),
    Target("tabular-c64", "kserve", THROUGHPUT, 5),
    Target("tabular-c64", "mosec", THROUGHPUT, 1),
    Target("tabular-c64", "fastapi", THROUGHPUT, 7),
    Target("tabular-c64", "kserve", P99, 0.4),
    Target("tabular-c64", "http-hello", CPU, 1.9),
    Target("tabular-c1", "mlserver", THROUGHPUT, 2.7),
    Target("tabular-c1", "kserve", THROUGHPUT, 2.5),
    Target("mlp-c64", "mlserver", THROUGHPUT, 4),
    Target("mlp-c64", "mosec", THROUGHPUT, 1),
    Target("mlp-c64", LOOP, THROUGHPUT, 0.45),
    Target("mlp-c1", "ours-unbatched", THROUGHPUT, 0.9),
    Target("conv-json", "mlserver", THROUGHPUT, 1.5),
    Target("conv-binary", "kserve", THROUGHPUT, 3),
    Target("conv-binary", LOOP, CPU, 1.08),
    Target("rows256-binary", LOOP, THROUGHPUT, 0.65),
    Target("grpc-c64", "mlserver", CPU, 0.45),
    Target("grpc-c64", "kserve", CPU, 0.45),
)
