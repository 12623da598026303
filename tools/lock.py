"""Resolve `requirements/*.in` into hashed locks for Python 3.11 and newer, one for each environment."""

import sys
from pathlib import Path

from tools import bootstrap
from tools.console import Console, fail
from tools.errors import ToolError
from tools.places import REPOSITORY, Home

FOLDER = REPOSITORY / "requirements"
# The project's own environment holds all of them, so that tests run what images run.
CONSTRAINED_BY_DEV = ("gpu", "server", "mlflow", "publisher", "pyfunc")
ALONE = ("dev", "uv", "go")


def main() -> None:
    """Resolve them all.

    Raises:
        ToolError: requirements contradict each other, or the package index cannot be reached.
    """
    console = Console(Home.current().log)
    for name in ALONE:
        _resolve(console, name)
    for name in CONSTRAINED_BY_DEV:
        _resolve(console, name, "--constraints", FOLDER / "dev.txt")


def _resolve(console: Console, name: str, *more: str | Path) -> None:
    # No address of an index goes into a lock: whoever installs names their own.
    silent = ("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet")
    source, lock = FOLDER / f"{name}.in", FOLDER / f"{name}.txt"
    wanted = ("--universal", "--python-version", "3.11", "--generate-hashes", "--output-file", lock)
    with console.step(lock.name):
        fix = "see the log above"
        console.run([bootstrap.uv(console), "pip", "compile", *silent, *wanted, *more, source], fix=fix, cwd=FOLDER)


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        fail(error)
        sys.exit(1)
