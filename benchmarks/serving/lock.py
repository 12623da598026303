"""`python -m benchmarks.serving.lock`: resolve `requirements/bench-*.in` again, all on our onnxruntime."""

import re
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from benchmarks.serving.environments import ENVIRONMENTS, FOLDER
from tools import bootstrap
from tools.console import Console, fail
from tools.errors import ToolError
from tools.places import Home


def main() -> None:
    """Resolve them all.

    Raises:
        ToolError: requirements contradict each other, or the package index cannot be reached.
    """
    console = Console(Home.current().log)
    ours = (FOLDER / "dev.txt").read_text(encoding="utf-8")
    with NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(re.findall(r"^(?:onnxruntime|numpy)==[^\\\n]+", ours, re.MULTILINE)))
        constraints.flush()
        for name in ENVIRONMENTS:
            _resolve(console, f"bench-{name}", Path(constraints.name))


def _resolve(console: Console, name: str, constraints: Path) -> None:
    # No address of an index goes into a lock: whoever installs names their own.
    silent = ("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet")
    source, lock = FOLDER / f"{name}.in", FOLDER / f"{name}.txt"
    wanted = ("--universal", "--python-version", "3.11", "--generate-hashes", "--output-file", lock)
    with console.step(lock.name):
        command = [bootstrap.uv(console), "pip", "compile", *silent, *wanted, "--constraints", constraints, source]
        console.run(command, fix="see the log above", cwd=FOLDER)


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        fail(error)
        sys.exit(1)
