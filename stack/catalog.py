"""What a cloud has and what it costs, from the dated tables in `prices/`."""

from datetime import date
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

_FOLDER = Path(__file__).parent / "prices"
_HOURS = 730  # in a month, as clouds count


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Row):
    """What one of it costs, in US dollars."""

    hourly: float = 0
    monthly: float = 0

    @property
    def per_month(self) -> float:
        """US dollars a month."""
        return self.monthly + self.hourly * _HOURS


class Gpu(Price):
    """A size of nodes with GPUs: the regions it is in, and how many GPUs a node has."""

    regions: frozenset[str]
    count: int = 1


class LightSize(Price):
    """A size of light mode, by the cloud's own name."""

    size: str


class Catalog(_Row):
    """A cloud's regions, sizes and prices.

    Attributes:
        source: Where prices are published.
        as_of: The day from which they are.
        regions: The regions in which the platform can be.
        bucket_regions: Those with buckets, where not all have them; empty for all.
        node_pattern: What its sizes of nodes look like.
        gpu_pattern: What its sizes of nodes with GPUs look like.
        database_pattern: What its sizes of databases look like.
        nodes: Prices of nodes.
        gpus: Nodes with NVIDIA GPUs.
        databases: Prices of databases, one node each.
        light: The sizes of light mode.
        other: Prices of all else.
    """

    source: str
    as_of: date
    regions: tuple[str, ...]
    bucket_regions: tuple[str, ...]
    node_pattern: str
    gpu_pattern: str
    database_pattern: str
    nodes: dict[str, Price]
    gpus: dict[str, Gpu]
    databases: dict[str, Price]
    light: dict[str, LightSize]
    other: dict[str, Price]


@cache
def catalog(cloud: str) -> Catalog:
    """The table of `digitalocean` or `aws`."""
    return Catalog.model_validate(yaml.safe_load((_FOLDER / f"{cloud}.yaml").read_text()))
