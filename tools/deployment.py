"""Bring a stack up on this machine, look at it, take it down."""

import http.client
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import engine as engines
from tools import smoke, stack_file
from tools.cluster import choose
from tools.cluster.choose import Cluster
from tools.cluster.local import exclusive
from tools.console import Console
from tools.engine import Engine
from tools.errors import ToolError
from tools.places import REPOSITORY, Home

SECONDS_TO_FIRST_PREDICTION = 120
# The first row of the data that the example model is trained on (`model_publisher/example.py`).
EXAMPLE = [
    17.99,
    10.38,
    122.8,
    1001.0,
    0.1184,
    0.2776,
    0.3001,
    0.1471,
    0.2419,
    0.07871,
    1.095,
    0.9053,
    8.589,
    153.4,
    0.006399,
    0.04904,
    0.05373,
    0.01587,
    0.03003,
    0.006193,
    25.38,
    17.33,
    184.6,
    2019.0,
    0.1622,
    0.6656,
    0.7119,
    0.2654,
    0.4601,
    0.1189,
]


@dataclass(frozen=True)
class Deployment:
    """One stack of one home."""

    home: Home
    stack: str

    @classmethod
    def current(cls) -> "Deployment":
        """What the environment names: `STACK`, else `local`."""
        return cls(Home.current(), os.environ.get("STACK") or "local")

    def up(self) -> None:
        """Make what is missing, deploy, wait for the first prediction, and say where everything is.

        Raises:
            ToolError: a step failed; running again goes on from there.
        """
        console = Console(self.home.log)
        console.say(f"stack {self.stack!r}; log in {self.home.log}")
        with exclusive(self.home):
            engine, file = self._prepare(console)
            with console.step("deploying the stack"):
                engines.program(
                    engine,
                    console,
                    file,
                    *("up", "--yes", "--skip-preview", *self._refresh, "--stack", self.stack),
                    fix=f"mend what the messages above name, then run again; logs: {self.home.log}",
                )
            outputs = self._outputs(engine)
            url, body = _example_request(outputs)
            answer = "its network may not be this machine's: `make smoke` asks it"
            if self._is_local:
                with console.step("first prediction"):
                    answer = _await_answer(url, body)
        console.say("the platform is up")
        print(_summary(outputs, url, body, answer), flush=True)

    def preview(self) -> None:
        """Show what an `up` would change, by the engine, and change nothing.

        Raises:
            ToolError: a step failed.
        """
        console = Console(self.home.log)
        with exclusive(self.home):
            engine, file = self._prepare(console)
            command = [engine.program, "preview", "--diff", *self._refresh, "--stack", self.stack]
            command += ["--non-interactive", "--config-file", file]
            subprocess.run(command, cwd=REPOSITORY, env=engine.environment, check=True)

    def smoke(self) -> None:
        """Bring the stack up, ask all that its outputs name, and take it down again, whatever comes of it.

        Raises:
            ToolError: something does not answer, or a step failed.
        """
        console = Console(self.home.log)
        try:
            self.up()
            with exclusive(self.home):
                engine = engines.provide(self.home, console)
                outputs = self._outputs(engine, "--show-secrets")
            if stack_file.committed(self.stack).get("inference-platform:mode") == "light":
                # There is no Job that would.
                with console.step("publishing the example model"):
                    console.run(smoke.publish_command(outputs), env=smoke.login(outputs), fix="see the log above")
            smoke.check(outputs, _example_request(outputs)[1], console)
        finally:
            self.down()
        console.say("everything answered, and nothing is left")

    def down(self) -> None:
        """Destroy the stack, then the cluster that was made for it.

        Raises:
            ToolError: a step failed; running again goes on from there.
        """
        console = Console(self.home.log)
        with exclusive(self.home):
            if stack_file.path(self.home, self.stack).exists():
                self._destroy(console)
            if not stack_file.stacks(self.home):
                choose.remove(self.home, console)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs.

        Raises:
            ToolError: there is no such stack.
        """
        if not stack_file.path(self.home, self.stack).exists():
            raise ToolError(f"there is no stack {self.stack!r} in {self.home.path}", "run `make up` first")
        return self._outputs(engines.provide(self.home, Console(self.home.log)))

    def _destroy(self, console: Console) -> None:
        engine, file = self._prepare(console)
        with console.step("destroying the stack"):
            engines.program(engine, console, file, "destroy", "--yes", "--skip-preview", "--stack", self.stack)
            # `destroy --remove` would take the committed configuration along.
            engines.state(engine, file, "stack", "rm", "--yes", "--preserve-config", "--stack", self.stack)
        file.unlink()

    def _prepare(self, console: Console) -> tuple[Engine, Path]:
        """The engine, and the stack's configuration for it, with the cluster running and the stack free to work on."""
        # A stack in a cloud makes its cluster itself.
        local = self._is_local
        cluster = choose.provide(self.home, stack_file.committed(self.stack), console) if local else Cluster({})
        engine = engines.provide(self.home, console).within(cluster.environment)
        file = stack_file.write(self.home, self.stack, {**cluster.config, **_revision()})
        engines.state(engine, file, "stack", "select", "--create", "--stack", self.stack)
        self._unlock(engine, console, file)
        return engine, file

    def _unlock(self, engine: Engine, console: Console, file: Path) -> None:
        """Take away what a killed run left in a state that only this home uses: its lock, its unfinished creations."""
        if engine.environment.get("PULUMI_BACKEND_URL") != f"file://{self.home.state}":
            return
        if any(self.home.state.glob(f".pulumi/locks/**/{self.stack}/*")):
            console.say("  an earlier run was killed: taking its lock away")
            engines.state(engine, file, "cancel", "--yes", "--stack", self.stack)
        checkpoint = json.loads(engines.state(engine, file, "stack", "export", "--stack", self.stack))
        if checkpoint["deployment"] and checkpoint["deployment"].get("pending_operations"):
            console.say("  an earlier run was killed: looking at what it had begun")
            repair = ("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", self.stack)
            engines.program(engine, console, file, *repair)

    @property
    def _is_local(self) -> bool:
        return stack_file.committed(self.stack).get("inference-platform:cloud", "local") == "local"

    @property
    def _refresh(self) -> tuple[str, ...]:
        """In a cloud, state is looked at anew: credentials in it expire, and people change things there by hand."""
        return () if self._is_local else ("--refresh",)

    def _outputs(self, engine: Engine, *more: str) -> dict[str, Any]:
        file = stack_file.path(self.home, self.stack)
        return json.loads(engines.state(engine, file, "stack", "output", "--json", *more, "--stack", self.stack))


def _revision() -> dict[str, str]:
    """The tag of the images: the commit, where this is a checkout."""
    asked = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(asked, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    return {} if done.returncode else {"inference-platform:imageTag": done.stdout.strip()}


def _example_request(outputs: Mapping[str, Any]) -> tuple[str, str]:
    """A URL and a body that the stack's model answers."""
    return f"{outputs['inferenceUrl']}/v1/models/{outputs['modelName']}:predict", json.dumps({"instances": [EXAMPLE]})


def _await_answer(url: str, body: str) -> str:
    deadline = time.monotonic() + SECONDS_TO_FIRST_PREDICTION
    while True:
        try:
            request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise ToolError(
                    f"{url} does not answer: {error}", "look at the pods: kubectl --kubeconfig ... get pods,events"
                ) from error
        time.sleep(0.2)


def _summary(outputs: Mapping[str, Any], url: str, body: str, answer: str) -> str:
    return f"""
  inference   {outputs["inferenceUrl"]}
  MLflow      {outputs["mlflowUrl"]}
  model       {outputs["modelName"]}
  image       {outputs["imageRef"]}
  kubectl     export KUBECONFIG={outputs["kubeconfigPath"]}; kubectl --namespace {outputs["namespace"]} get pods
  namespace   {outputs["namespace"]}

Try it:

  curl --header 'Content-Type: application/json' --data '{body}' {url}

It answers:

  {answer}
"""
