"""Bring programs from Debian's packages."""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.console import Console
from tools.errors import ToolError

# Programs that may be outside a user's PATH.
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
SERVICES_START = Path("/usr/sbin/policy-rc.d")


def find(program: str) -> str | None:
    """The path of an installed program."""
    return shutil.which(program, path=PATH)


def install(programs: Mapping[str, str], console: Console) -> None:
    """Install the packages (program -> package) whose programs are not there. apt checks their signatures.

    Raises:
        ToolError: this is not a Debian machine with root, or the installation failed.
    """
    missing = sorted(
        {package for program, package in programs.items() if not (find(program) or Path(program).exists())}
    )
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise ToolError(f"not installed: {', '.join(missing)}", "install these packages, then run again")
    with console.step(f"Debian packages {', '.join(missing)}"), _no_service_starts():
        fix = f"install {', '.join(missing)} by hand, then run again"
        console.run(["apt-get", "update", "--quiet=2"], fix=fix)
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        console.run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], env=quietly, fix=fix)


@contextmanager
def _no_service_starts() -> Generator[None]:
    """Keep packages from starting their daemons: the cluster starts its own, apart from the machine's."""
    if SERVICES_START.exists():
        yield
        return
    SERVICES_START.write_text("#!/bin/sh\nexit 101\n")
    SERVICES_START.chmod(0o755)
    try:
        yield
    finally:
        SERVICES_START.unlink(missing_ok=True)
