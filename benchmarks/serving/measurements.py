"""What was measured, and what that makes of ours beside each peer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.serving.works import OURS, Work

THROUGHPUT, CPU, P99 = "throughput", "cpu", "p99"


@dataclass(frozen=True)
class Measurement:
    """One server under one load for one round.

    Attributes:
        values: Metric -> value: rows a second, the server's CPU seconds a request, seconds; the bare loop has no p99.
        foreign: The share of the servers' core that processes of others took.
    """

    values: Mapping[str, float]
    foreign: float


@dataclass(frozen=True)
class Ratio:
    """Ours beside a peer."""

    work: str
    peer: str
    metric: str
    ours: float
    theirs: float
    ratio: float


@dataclass(frozen=True)
class WorkResult:
    """Everything about one work: server -> its rounds, and server -> why it could not be measured."""

    work: Work
    rounds: Mapping[str, Sequence[Measurement]]
    failures: Mapping[str, str]

    def medians(self, server: str) -> dict[str, float]:
        """Metric -> the median of the rounds; empty if it was not measured."""
        rounds = self.rounds.get(server, ())
        metrics = rounds[0].values if rounds else ()
        return {metric: median(measurement.values[metric] for measurement in rounds) for metric in metrics}

    @property
    def foreign(self) -> float:
        """The share of the servers' core that others took, on average."""
        return fmean([0.0, *(measurement.foreign for rounds in self.rounds.values() for measurement in rounds)])

    def ratios(self) -> list[Ratio]:
        """Ours over theirs, for every peer and metric that both have."""
        ours = self.medians(OURS)
        return [
            Ratio(self.work.name, peer, metric, ours[metric], theirs, ours[metric] / theirs)
            for peer in self.work.peers
            for metric, theirs in self.medians(peer).items()
            if metric in ours and theirs
        ]
