"""A platform of the tests' own: brought up, used and taken down as a user does, by `make`."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from tools import engine as engines
from tools import stack_file
from tools.console import Console
from tools.places import REPOSITORY, Home

STACK = "local"


class Platform:
    """What `make up` leaves in a home."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.seconds_to_up = 0.0

    def start(self, target: str) -> subprocess.Popen[str]:
        """Start a make target in a process group of its own."""
        return subprocess.Popen(
            ["make", "--no-print-directory", target],
            cwd=REPOSITORY,
            env={**os.environ, "PLATFORM_HOME": str(self.home.path), "STACK": STACK},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def make(self, target: str) -> str:
        """Run a make target; what it printed. Fails the test with its output if it fails."""
        with self.start(target) as process:
            said, complained = process.communicate()
        assert process.returncode == 0, said[-6000:] + complained[-2000:]
        return said

    def up(self) -> str:
        """`make up`, timed."""
        began = time.monotonic()
        said = self.make("up")
        self.seconds_to_up = time.monotonic() - began
        self.__dict__.pop("outputs", None)
        return said

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """`make outputs`."""
        return json.loads(self.make("outputs"))

    def pulumi(self, *arguments: str, config: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the real engine on the deployed stack, this once with some configuration changed."""
        engine = engines.provide(self.home, Console(self.home.log))
        docker = str(self.home.path / "docker")
        content = yaml.safe_load(stack_file.path(self.home, STACK).read_text())
        content["config"] |= config or {}
        with NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(content, file)
            file.flush()
            return subprocess.run(
                [engine.program, *arguments, "--stack", STACK, "--config-file", file.name, "--non-interactive"],
                cwd=REPOSITORY,
                env={**engine.environment, "DOCKER_CONFIG": docker, "BUILDX_CONFIG": f"{docker}/buildx"},
                capture_output=True,
                text=True,
                check=False,
            )

    def state(self, *arguments: str) -> str:
        """What a command of the engine that looks at the state only prints."""
        engine = engines.provide(self.home, Console(self.home.log))
        return engines.state(engine, stack_file.path(self.home, STACK), *arguments, "--stack", STACK)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the stack's namespace."""
        node = json.loads((self.home.cluster / "node.json").read_text())
        command = [f"{node['programs'][0]}/kubectl", "--kubeconfig", str(self.home.kubeconfig)]
        done = subprocess.run(
            [*command, "--namespace", self.outputs["namespace"], *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """Kubernetes objects of the stack's namespace."""
        return json.loads(self.kubectl("get", "--output", "json", *arguments))["items"]
