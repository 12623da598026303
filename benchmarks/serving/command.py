"""`python -m benchmarks serving`: run the bench, say what came out, write it down."""

import argparse
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.serving import report
from benchmarks.serving.bench import Bench
from benchmarks.serving.measurements import WorkResult
from benchmarks.serving.servers import SERVERS
from benchmarks.serving.targets import TARGETS
from benchmarks.serving.works import LOOP, OURS, WORKS
from tools import debian
from tools.console import Console
from tools.places import Home

_ROUNDS = 5
_SECONDS = 2


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 if a target is missed.

    Raises:
        ToolError: the load generator is not there, and cannot be installed.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is on disk is cleaned up then too
    chosen = [work for work in WORKS if work.name in options.works]
    works = [replace(work, peers=tuple(p for p in work.peers if p in options.peers)) for work in chosen]
    console = Console(Home.current().log)
    debian.install({"wrk": "wrk"}, console)
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        Bench(Path(folder), console, rounds=options.rounds, seconds=options.seconds) as bench,
    ):
        results: list[WorkResult] = []
        for work in works:
            results.append(bench.measure(work))
            print(f"\n{report.work_table(results[-1])}\n", flush=True)
    asked = {(work.name, peer) for work in works for peer in work.peers}
    targets = [target for target in TARGETS if (target.work, target.peer) in asked]
    ratios = [ratio for result in results for ratio in result.ratios()]
    print(report.target_table(targets, ratios))
    if works == list(WORKS):
        report.write(results, rounds=options.rounds, seconds=options.seconds)
    print(f"\n{report.foreign_load(results)}\n")
    missed = [target for target in targets if not target.is_met(ratios)]
    for target in missed:
        print(f"missed: {target}")
    return int(bool(missed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchmarks serving", description="Measure the server beside its peers.")
    works = tuple(work.name for work in WORKS)
    peers = (*(name for name in SERVERS if name != OURS), LOOP)
    for option, names in (("--works", works), ("--peers", peers)):
        parser.add_argument(
            option,
            type=lambda text, names=names: _some_of(text, names),
            default=names,
            metavar="NAME,...",
            help=f"only these of {', '.join(names)}; only a run of all of them is written down",
        )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help="for how long (default: %(default)s)")
    return parser


def _some_of(text: str, names: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(names):
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return chosen
