"""Measure the local stack's figures on this machine, print them beside their limits."""

import os
import platform as machine
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from tests.platform import Platform
from tools.cluster import cgroups
from tools.places import REPOSITORY

IMPORTS = "import pulumi, stack.settings, stack.platform, stack.clouds.local"
ROUNDS = 7


@dataclass(frozen=True)
class Figure:
    """Something measured, and the most it may be."""

    name: str
    value: float
    limit: float
    unit: str


def main() -> int:
    """Bring up a platform of the benchmark's own, measure, take it down. Exit code 1 if a figure is over its limit."""
    bench = Platform(REPOSITORY / ".local" / "bench")
    bench.make("down")
    try:
        figures = [
            Figure("interpreter start and import of the local program", _import_seconds(), 1.5, "s"),
            Figure("the whole program of `dev` (DigitalOcean), offline", _program_seconds("dev"), 3, "s"),
            Figure("the whole program of `prod` (AWS), offline", _program_seconds("prod"), 6, "s"),
            Figure("`make up` to the first prediction, caches there", _warm_up_seconds(bench), 120, "s"),
            Figure("`pulumi up` with no change", median(_repeat(lambda: _no_change(bench), 3)), 10, "s"),
            Figure("memory of the whole platform", _memory(bench), 4096, "MiB"),
            Figure("inference image above its base", _image_size(bench), 350, "MiB"),
        ]
    finally:
        bench.make("down")
    print(f"\n{os.cpu_count()} cores, {machine.machine()}, {machine.system()} {machine.release()}\n")
    print("| what | measured | at most |\n|---|---|---|")
    for figure in figures:
        print(f"| {figure.name} | {figure.value:.2f} {figure.unit} | {figure.limit:g} {figure.unit} |")
    return int(any(figure.value > figure.limit for figure in figures))


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _repeat(action: Callable[[], object], rounds: int) -> list[float]:
    return [_timed(action) for _ in range(rounds)]


def _import_seconds() -> float:
    start = [sys.executable, "-c", IMPORTS]
    return median(_repeat(lambda: subprocess.run(start, cwd=REPOSITORY, check=True), ROUNDS))


def _program_seconds(stack: str) -> float:
    """From the interpreter's start to after the last registration."""
    start = [sys.executable, "-c", f"from tools.preview import offline; offline({stack!r}, 'json')"]
    return median(_repeat(lambda: subprocess.run(start, cwd=REPOSITORY, check=True), ROUNDS))


def _warm_up_seconds(bench: Platform) -> float:
    bench.up()  # fills the caches
    bench.make("down")
    bench.up()
    return bench.seconds_to_up


def _no_change(bench: Platform) -> None:
    done = bench.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _memory(bench: Platform) -> float:
    return cgroups.memory(f"ipl-{bench.home.identity}") / 2**20


def _image_size(bench: Platform) -> float:
    """What the image adds lies in /opt."""
    (pod,) = bench.get("pods", "--selector", "app.kubernetes.io/component=predictor")
    return float(bench.kubectl("exec", pod["metadata"]["name"], "--", "du", "-sm", "/opt").split()[0])
