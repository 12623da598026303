import pytest

from tests.unit.stack.support.engine import Deployed, deploy


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    """The platform as the defaults make it."""
    return deploy()
