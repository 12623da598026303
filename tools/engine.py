"""The Pulumi engine: the user's, else the official one, else compiled from pinned Go modules; and its state."""

import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools import golang
from tools.console import Console
from tools.errors import ToolError
from tools.places import ENVIRONMENT, REPOSITORY, Home, cache

VERSION = "3.250.0"
INSTALLER = "https://get.pulumi.com"
LANGUAGE_HOST = Path(__file__).parent / "language_host.py"


@dataclass(frozen=True)
class Engine:
    """A Pulumi that can deploy this project.

    Attributes:
        program: the command-line tool.
        environment: what it is run with, its plugins' place and its state's among it.
    """

    program: Path
    environment: Mapping[str, str] = field(repr=False)

    def within(self, environment: Mapping[str, str]) -> "Engine":
        """The same with more in its environment."""
        return Engine(self.program, {**self.environment, **environment})


def provide(home: Home, console: Console) -> Engine:
    """Find, install or compile the engine, and give it a place for its state.

    Raises:
        ToolError: it could not be compiled.
    """
    found = shutil.which("pulumi") or _installed(console)
    if found:
        return Engine(Path(found), _environment(home, [Path(found).parent], own_home=False))
    folders = [golang.make(build, console) for build in golang.ENGINE]
    folders.append(_language_host(home, console))
    return Engine(folders[0] / "pulumi", _environment(home, folders, own_home=True))


def is_made() -> bool:
    """Whether the engine needs no compiling: it is installed or was compiled before."""
    return bool(shutil.which("pulumi")) or all(build.is_made for build in golang.ENGINE)


def _installed(console: Console) -> str | None:
    """The official engine in our cache, installed there first if its vendor can be reached."""
    folder = cache() / f"pulumi-{VERSION}"
    program = folder / "bin" / "pulumi"
    if program.exists():
        return str(program)
    try:
        with urllib.request.urlopen(INSTALLER, timeout=5) as answer:
            script: bytes = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    with console.step(f"Pulumi {VERSION}"):
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        installer = part / "install.sh"
        installer.write_bytes(script)
        console.run(
            ["sh", installer, "--version", VERSION, "--install-root", part, "--no-edit-path"],
            fix="install Pulumi by hand, then run again",
        )
        part.rename(folder)
    return str(program)


def _language_host(home: Home, console: Console) -> Path:
    """A folder with the programs by which the engine runs Python programs."""
    folder = home.path / "language-host"
    folder.mkdir(parents=True, exist_ok=True)
    sdk = golang.module_folder("engine", "github.com/pulumi/pulumi/sdk/v3", console)
    executor = folder / "pulumi-language-python-exec"
    if not executor.exists():
        shutil.copyfile(sdk / "python" / "cmd" / executor.name, executor)
    host = folder / "pulumi-language-python"
    host.write_text(f'#!/bin/sh\nPULUMI_PYTHON_EXECUTOR="{executor}" exec "{sys.executable}" "{LANGUAGE_HOST}" "$@"\n')
    host.chmod(0o755)
    return folder


def _environment(home: Home, folders: list[Path], *, own_home: bool) -> dict[str, str]:
    path = [*map(str, folders), str(ENVIRONMENT / "bin"), os.environ.get("PATH", "")]
    environment = {**os.environ, "PATH": ":".join(path), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    if own_home:
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if "PULUMI_BACKEND_URL" in os.environ or _is_logged_in():
        return environment
    home.state.mkdir(parents=True, exist_ok=True)
    environment["PULUMI_BACKEND_URL"] = f"file://{home.state}"
    if own_home:
        environment["PULUMI_HOME"] = str(home.path / "pulumi")
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase(home))
    return environment


def _is_logged_in() -> bool:
    credentials = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "credentials.json"
    try:
        return bool(json.loads(credentials.read_text()).get("current"))
    except (OSError, ValueError):
        return False


def _passphrase(home: Home) -> Path:
    """The passphrase's file, made on first use, for its owner's eyes only."""
    if not home.passphrase.exists():
        part = home.passphrase.with_suffix(".part")
        part.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        part.write_text(secrets.token_urlsafe(32))
        part.rename(home.passphrase)
    return home.passphrase


def program(engine: Engine, console: Console, stack_file: Path, *arguments: str, fix: str = "run again") -> None:
    """Run a command that runs this project's program; the terminal sees what has happened, the log everything.

    Raises:
        ToolError: it failed.
    """
    command = [engine.program, *arguments, "--non-interactive", "--config-file", stack_file]
    console.run(command, cwd=REPOSITORY, env=engine.environment, fix=fix, show=_is_news)


def _is_news(line: str) -> bool:
    """Whether a line tells that something is done or went wrong, and is no sign of life or a plugin's address."""
    if " from $PATH at " in line or "expected to have version" in line:
        return False
    return bool(re.search(r"\b(created|updated|deleted|replaced|failed|error|warning|unchanged)\b", line))


def state(engine: Engine, stack_file: Path, *arguments: str) -> str:
    """What a command that looks at or changes a stack's state only prints.

    Raises:
        ToolError: it failed.
    """
    command = [str(engine.program), *arguments, "--non-interactive", "--cwd", str(stack_file.parent)]
    done = subprocess.run(command, env=engine.environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"pulumi {arguments[0]} failed: {done.stderr.strip()}", "mend what it names, then run again")
    return done.stdout
