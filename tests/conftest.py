from collections.abc import Iterator

import pytest

from tests.platform import Platform
from tools.places import REPOSITORY


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The tests' own platform; what an earlier, killed run left is taken down first."""
    tests_own = Platform(REPOSITORY / ".local" / "verify")
    tests_own.make("down")
    try:
        tests_own.up()
        yield tests_own
    finally:
        tests_own.make("down")
