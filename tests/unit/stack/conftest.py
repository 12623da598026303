from functools import cache

import pytest

from tests.unit.stack.support.engine import committed, deploy, light
from tools.offline.engine import run_program
from tools.offline.graph import Graph

_CLUSTERS = ("local", "dev", "prod")
_CLOUDS = ("dev", "prod", "dev-light", "prod-light")


@cache
def _graph(name: str) -> Graph:
    stack, _, mode = name.partition("-")
    if stack == "local":
        return deploy()
    return run_program(light(stack) if mode else committed(stack), stack)


@pytest.fixture(scope="session")
def deployed() -> Graph:
    """The platform as the defaults make it."""
    return _graph("local")


@pytest.fixture(scope="session")
def dev() -> Graph:
    """DigitalOcean, as it is committed."""
    return _graph("dev")


@pytest.fixture(scope="session")
def prod() -> Graph:
    """AWS, as it is committed."""
    return _graph("prod")


@pytest.fixture(scope="session", params=_CLUSTERS)
def with_cluster(request: pytest.FixtureRequest) -> Graph:
    """Each stack with Kubernetes."""
    return _graph(request.param)


@pytest.fixture(scope="session", params=_CLOUDS)
def in_cloud(request: pytest.FixtureRequest) -> Graph:
    """Each stack in a cloud."""
    return _graph(request.param)


@pytest.fixture(scope="session", params=("local", *_CLOUDS))
def any_stack(request: pytest.FixtureRequest) -> tuple[str, Graph]:
    """Each stack, with its name."""
    return request.param, _graph(request.param)
