"""The estimate of what a stack costs."""

from datetime import date

import pytest

from stack.catalog import catalog
from stack.cost import Estimate, estimate
from stack.settings import Settings
from tests.unit.stack.support.engine import REQUIRED, committed, light


def _estimate(config: dict[str, str]) -> Estimate:
    found = estimate(Settings.parse(config))
    assert found is not None
    return found


def test_a_cluster_that_is_there_costs_nothing_more() -> None:
    assert estimate(Settings.parse(REQUIRED)) is None


def test_it_is_the_sum_of_what_the_stack_has() -> None:
    table = catalog("digitalocean")
    found = _estimate(committed("dev"))
    items = {item.what: (item.count, item.each) for item in found.items}
    assert items["node s-4vcpu-8gb"] == (2, 48)
    assert items["GPU node gpu-4000adax1-20gb"] == (1, pytest.approx(0.76 * 730))
    assert items["load balancer"] == (2, 12)
    assert found.total == pytest.approx(30.45 + 5 + 5 + 2 * 48 + 0.76 * 730 + 2 * 12)
    assert str(table.as_of) in found.summary
    assert table.source in found.summary


@pytest.mark.parametrize(
    ("stack", "change"),
    [
        ("dev", {"nodesMin": 3}),
        ("dev", {"highAvailability": True}),
        ("dev", {"databaseSize": "db-s-4vcpu-8gb"}),
        ("dev", {"registryTier": "professional"}),
        ("prod", {"gpuNodesMin": 3}),
        ("prod", {"databaseStorageGib": 500}),
        ("prod", {"nodeSize": "m7i.xlarge"}),
    ],
)
def test_more_costs_more(stack: str, change: dict[str, object]) -> None:
    assert _estimate(committed(stack, **change)).total > _estimate(committed(stack)).total


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_light_mode_costs_less(stack: str) -> None:
    assert _estimate(light(stack)).total < _estimate(committed(stack)).total / 2


def test_what_has_no_price_is_named() -> None:
    found = _estimate(committed("prod", nodeSize="m8i.large"))
    assert "without node m8i.large, which have no price here" in found.summary
    assert "no price" in found.table
    assert found.total > 0


@pytest.mark.parametrize("cloud", ["digitalocean", "aws"])
def test_the_tables_are_dated_and_agree_with_themselves(cloud: str) -> None:
    table = catalog(cloud)
    assert date(2025, 1, 1) < table.as_of < date(2030, 1, 1)
    for gpu in table.gpus.values():
        assert gpu.regions <= set(table.regions)
        assert gpu.per_month > 0
    assert set(table.light) == {"small", "medium", "large"}
