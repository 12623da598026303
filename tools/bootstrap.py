"""Give this checkout its Python environment, from locked requirements. Standard library only.

`python3 -m tools.bootstrap` makes it; `enter()` makes it and goes on inside.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.console import Console, fail
from tools.errors import ToolError
from tools.places import ENVIRONMENT, REPOSITORY, Home, cache

OLDEST_PYTHON = (3, 11)
LOCK = REPOSITORY / "requirements" / "dev.txt"
UV_LOCK = REPOSITORY / "requirements" / "uv.txt"
# Of AWS's SDK, which has 260 services, those that the program uses.
_AWS = "acm autoscaling cloudwatch ec2 ecr ecs eks iam kms lb rds route53 s3 secretsmanager vpc"
COMPILED = (
    *("pulumi", "pulumi_digitalocean", "pulumi_docker_build", "pulumi_kubernetes", "pulumi_random"),
    *("grpc", "google", "pydantic"),
    *(f"pulumi_aws/{service}" for service in _AWS.split()),
)
PYTHON = ENVIRONMENT / "bin" / "python"


def enter(module: str) -> None:
    """Return at once inside the project's environment; else make it and start `module` again inside it."""
    if Path(sys.prefix) == ENVIRONMENT and is_current():
        return
    make()
    os.execv(PYTHON, [str(PYTHON), "-m", module, *sys.argv[1:]])


def make() -> None:
    """Make the environment, or bring it up to date with the lock.

    Raises:
        ToolError: Python is too old, or an installation failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise ToolError(
            f"python3 is {sys.version.split()[0]}",
            f"install Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer, or name one: make PYTHON=python3.12",
        )
    if is_current():
        return
    console = Console(Home.current().log)
    with console.step("Python environment from requirements/dev.txt"):
        installer = uv(console)
        _stamp().unlink(missing_ok=True)
        fix = "see the log above; if it is the network, set a proxy or a package index and run again"
        console.run(
            [installer, "venv", "--quiet", "--allow-existing", "--python", sys.executable, ENVIRONMENT], fix=fix
        )
        console.run([installer, "pip", "sync", "--quiet", "--require-hashes", "--python", PYTHON, LOCK], fix=fix)
        # Every command of the engine starts the program: without bytecode its imports would take twice as long.
        console.run([PYTHON, "-m", "compileall", "-q", *_packages(COMPILED)], fix=fix)
        _stamp().write_text(_wanted())


def _packages(names: tuple[str, ...]) -> list[Path]:
    (site,) = (ENVIRONMENT / "lib").glob("python3*/site-packages")
    return [site / name for name in names]


def _stamp() -> Path:
    return ENVIRONMENT / ".made-from"


def _wanted() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"


def is_current() -> bool:
    """Whether the environment is what the lock says."""
    return PYTHON.exists() and _stamp().exists() and _stamp().read_text() == _wanted()


def uv(console: Console) -> Path:
    """The pinned uv: the installer of everything else, itself installed by pip, checked against its hash."""
    key = hashlib.sha256(UV_LOCK.read_bytes()).hexdigest()[:12]
    folder = cache() / f"uv-{key}"
    program = folder / "bin" / "uv"
    if program.exists():
        return program
    with console.step("uv"):
        shutil.rmtree(folder, ignore_errors=True)
        if subprocess.run([sys.executable, "-c", "import ensurepip"], check=False, capture_output=True).returncode:
            _install_venv(console)
        half_made = folder.with_suffix(".part")
        shutil.rmtree(half_made, ignore_errors=True)
        fix = "see the log above; if it is the network, set a proxy or a package index and run again"
        console.run([sys.executable, "-m", "venv", half_made], fix=fix)
        pip = [half_made / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        console.run([*pip, "--require-hashes", "-r", UV_LOCK], fix=fix)
        half_made.rename(folder)
    return program


def _install_venv(console: Console) -> None:
    """Debian's Python comes without venv."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() or not shutil.which("apt-get"):
        raise ToolError(f"{sys.executable} cannot make virtual environments", f"install {package}, then run again")
    fix = f"install {package} by hand, then run again"
    console.run(["apt-get", "update", "--quiet=2"], fix=fix)
    console.run(["apt-get", "install", "--yes", "--no-install-recommends", package], fix=fix)


if __name__ == "__main__":
    try:
        make()
    except ToolError as error:
        fail(error)
        sys.exit(1)
