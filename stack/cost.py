"""What a stack costs a month, from its settings and the dated prices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stack.catalog import Catalog, Price, catalog
from stack.settings import Settings

_ZONES = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an estimate.

    Attributes:
        what: What is paid for.
        count: How many of it.
        each: US dollars a month for one; None where the table has no price.
    """

    what: str
    count: int
    each: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stack costs at least: with its nodes at their least.

    Attributes:
        items: What it consists of.
        source: Where the prices are from, and when.
    """

    items: tuple[Item, ...]
    source: str

    @property
    def total(self) -> float:
        """US dollars a month, without what has no price."""
        return sum(item.count * (item.each or 0) for item in self.items)

    @property
    def summary(self) -> str:
        """One line."""
        missing = [item.what for item in self.items if item.each is None]
        unknown = f", without {' and '.join(missing)}, which have no price here" if missing else ""
        return f"about ${self.total:,.0f} a month at list prices{unknown} ({self.source})"

    @property
    def table(self) -> str:
        """A line an item, and the sum."""
        lines = [
            f"{item.count:4} x {item.what:44} "
            + ("no price" if item.each is None else f"{item.count * item.each:10,.2f}")
            for item in self.items
        ]
        return "\n".join([*lines, self.summary])


def estimate(settings: Settings) -> Estimate | None:
    """The estimate of a stack; None on a cluster that is there already."""
    if settings.cloud == "local":
        return None
    table = catalog(settings.cloud)
    items = _digitalocean(settings, table) if settings.cloud == "digitalocean" else _aws(settings, table)
    return Estimate(tuple(items), f"{table.source}, {table.as_of}")


def _digitalocean(settings: Settings, table: Catalog) -> Iterator[Item]:
    standby = 2 if settings.high_availability else 1
    yield _sized("database", settings.database_size, table.databases, standby)
    yield _other("bucket (250 GiB)", table)
    if not settings.registry_name:
        yield _other(f"registry {settings.registry_tier}", table)
    yield from _computing(settings, table)
    if settings.mode == "kubernetes":
        yield _other("load balancer", table, 2)
        if settings.high_availability:
            yield _other("highly available control plane", table)


def _aws(settings: Settings, table: Catalog) -> Iterator[Item]:
    zones = 2 if settings.high_availability else 1
    yield _sized("database", settings.database_size, table.databases, zones)
    yield _other("database GiB", table, settings.database_storage_gib * zones)
    yield _other("NAT gateway", table, _ZONES if settings.high_availability else 1)
    yield _other("endpoint in a zone", table, 2 * _ZONES)
    yield _other("encryption key", table)
    yield _other("load balancer", table)
    yield from _computing(settings, table)
    if settings.mode == "kubernetes":
        yield _other("secret", table, 2)
        yield _other("cluster", table)
        yield _other("node volume (50 GiB)", table, settings.nodes_min)
        if settings.gpu_node_size:
            yield _other("GPU node volume (100 GiB)", table, settings.gpu_nodes_min)
    else:
        yield _other("secret", table, 4)


def _computing(settings: Settings, table: Catalog) -> Iterator[Item]:
    if settings.mode == "light":
        yield _sized("container", settings.light_size, table.light, settings.replicas + 1)
        return
    yield _sized("node", settings.node_size, table.nodes, settings.nodes_min)
    if settings.gpu_node_size:
        yield _sized("GPU node", settings.gpu_node_size, table.gpus, settings.gpu_nodes_min)


def _sized(what: str, size: str, prices: Mapping[str, Price], count: int) -> Item:
    price = prices.get(size)
    return Item(f"{what} {size}", count, None if price is None else price.per_month)


def _other(what: str, table: Catalog, count: int = 1) -> Item:
    return Item(what, count, table.other[what].per_month)
