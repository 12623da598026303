"""The program run without an engine, as the tests want it."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tools.offline.engine import run_program
from tools.offline.graph import Graph
from tools.places import REPOSITORY

NAMESPACE = "inference-platform:"
REQUIRED = {f"{NAMESPACE}registry": "10.0.0.2:5000/inference-platform"}


def deploy(config: Mapping[str, str] | None = None, stack: str = "local") -> Graph:
    """The `local` stack with this config on top of what is required."""
    return run_program({**REQUIRED, **(config or {})}, stack)


def committed(stack: str, **more: object) -> dict[str, str]:
    """The config of a stack in the repository, with more on top of it, as the engine gives it."""
    values: dict[str, Any] = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    values |= {NAMESPACE + key: value for key, value in more.items()}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def light(stack: str) -> dict[str, str]:
    """The same stack in light mode."""
    nodes = {"nodeSize": "", "gpuNodeSize": "", "inferenceDevice": "cpu"}
    return committed(stack, mode="light", allowedNetworks=["0.0.0.0/0"], **nodes)
