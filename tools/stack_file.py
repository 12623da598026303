"""The stack's configuration on this machine: the committed file, and over it what only this machine knows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.errors import ToolError
from tools.places import REPOSITORY, Home

# What the engine itself writes into the file: how the stack's secrets are encrypted.
ENGINES_OWN = ("encryptionsalt", "encryptedkey", "secretsprovider")
BASE = "local"
PROJECT = "inference-platform"


def path(home: Home, stack: str) -> Path:
    """The file that the engine reads and writes."""
    return home.project / f"Pulumi.{stack}.yaml"


def stacks(home: Home) -> list[str]:
    """The stacks that were brought up in a home and not taken down."""
    return [file.name.split(".")[1] for file in sorted(home.project.glob("Pulumi.*.yaml"))]


def committed(stack: str) -> dict[str, Any]:
    """The configuration in the repository; a stack without a file of its own has the local one's.

    Raises:
        ToolError: the file is not YAML.
    """
    named = REPOSITORY / f"Pulumi.{stack}.yaml"
    source = named if named.exists() else REPOSITORY / f"Pulumi.{BASE}.yaml"
    try:
        return _read(source).get("config") or {}
    except yaml.YAMLError as error:
        raise ToolError(f"{source.name} is not YAML: {error}", "mend it, then run again") from error


def write(home: Home, stack: str, machine: Mapping[str, object]) -> Path:
    """Bring the file up to date. What the user committed goes before what the machine suggests."""
    target = path(home, stack)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Commands that only look at a stack's state want a project around them, and write the stack's file beside it.
    (home.project / "Pulumi.yaml").write_text(yaml.safe_dump({"name": PROJECT, "runtime": "python"}))
    before = _read(target) if target.exists() else {}
    content: dict[str, Any] = {key: before[key] for key in ENGINES_OWN if key in before}
    content["config"] = {**machine, **committed(stack)}
    part = target.with_suffix(".part")
    part.write_text(yaml.safe_dump(content))
    part.rename(target)
    return target


def _read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text()) or {}
