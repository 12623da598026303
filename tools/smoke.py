"""Whether a stack that is up does what it says of itself."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from tools.console import Console
from tools.errors import ToolError

SECONDS = 300
_UNAUTHORIZED = 401


def check(outputs: Mapping[str, Any], body: str, console: Console, seconds: float = SECONDS) -> None:
    """Ask all that the outputs name.

    Args:
        outputs: The stack's outputs, secrets among them.
        body: A request that the model answers.
        console: Where it says what it does.
        seconds: How long to wait for each.

    Raises:
        ToolError: something does not answer as it should.
    """
    inference, mlflow = outputs["inferenceUrl"], outputs["mlflowUrl"]
    search = f"{mlflow}/api/2.0/mlflow/registered-models/search"
    user, password = outputs["mlflowUser"], outputs["mlflowPassword"]
    with console.step("inference"):
        _await(f"{inference}/healthz", 200, seconds)
        _await(f"{inference}/readyz", 200, seconds)
        _await(f"{inference}/v1/models/{outputs['modelName']}:predict", 200, seconds, body=body)
    with console.step("MLflow"):
        _await(f"{mlflow}/health", 200, seconds)
        if user:
            _await(search, _UNAUTHORIZED, seconds)
            _await(search, 200, seconds, login=(user, password))
        else:
            _await(search, 200, seconds)


def publish_command(outputs: Mapping[str, Any]) -> list[str]:
    """What publishes the example model where none is."""
    where = [f"--mlflow-url={outputs['mlflowUrl']}", f"--name={outputs['modelName']}", "--alias=production"]
    return [sys.executable, "-m", "model_publisher", *where, "--if-absent"]


def login(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The environment with which MLflow's client logs in."""
    user, password = outputs["mlflowUser"], outputs["mlflowPassword"]
    return {**os.environ, "MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}


def _await(
    url: str, wanted: int, seconds: float, *, body: str | None = None, login: tuple[str, str] | None = None
) -> None:
    deadline = time.monotonic() + seconds
    while (got := _status(url, body, login)) != wanted:
        if time.monotonic() > deadline:
            raise ToolError(
                f"{url} answers {got}, {wanted} is right",
                "look at the stack's pods or containers; without a domain it answers in its own network only",
            )
        time.sleep(min(2, seconds / 10))


def _status(url: str, body: str | None, login: tuple[str, str] | None) -> int | str:
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    request = urllib.request.Request(url, body.encode() if body else None, headers)  # noqa: S310 - the stack's own
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            json.load(answer) if body else answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return f"nothing ({error})"
