"""A virtual environment for each peer, made once from its hashed lock."""

import hashlib
import re
import shutil
import sys
from pathlib import Path

from tools import bootstrap
from tools.console import Console
from tools.places import ENVIRONMENT, REPOSITORY, cache

FOLDER = REPOSITORY / "requirements"
ENVIRONMENTS = ("kserve", "mlserver", "bentoml", "litserve", "mosec", "fastapi", "client")


def make(name: str | None, console: Console) -> Path:
    """The folder with an environment's programs, made first if it is not there; None is the project's own.

    Raises:
        ToolError: something of it cannot be installed here.
    """
    if name is None:
        return ENVIRONMENT / "bin"
    lock = _lock(name)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"bench-{name}-{hashlib.sha256(python.encode() + lock.read_bytes()).hexdigest()[:12]}"
    complete = folder / ".complete"
    if not complete.exists():
        with console.step(f"Python environment from requirements/{lock.name}"):
            shutil.rmtree(folder, ignore_errors=True)
            installer = bootstrap.uv(console)
            fix = "see the log above; if it is the network, set a proxy or a package index and run again"
            console.run([installer, "venv", "--quiet", "--python", sys.executable, folder], fix=fix)
            sync = [
                installer,
                "pip",
                "sync",
                "--quiet",
                "--require-hashes",
                "--python",
                folder / "bin" / "python",
                lock,
            ]
            console.run(sync, fix=fix)
            complete.touch()
    return folder / "bin"


def version(name: str | None, package: str) -> str:
    """The version of a package that an environment's lock pins."""
    (found,) = set(
        re.findall(rf"^{re.escape(package)}==(\S+)(?! ;)", _lock(name).read_text(encoding="utf-8"), re.MULTILINE)
    )
    return found


def _lock(name: str | None) -> Path:
    return FOLDER / ("dev.txt" if name is None else f"bench-{name}.txt")
