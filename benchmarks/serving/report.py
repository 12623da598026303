"""Say what was measured: tables for the terminal, JSON for programs, a page with a plot for people."""

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.serving import chart, environments
from benchmarks.serving.measurements import CPU, P99, THROUGHPUT, Ratio, WorkResult
from benchmarks.serving.servers import SERVERS
from benchmarks.serving.targets import TARGETS, Target
from benchmarks.serving.works import LOOP, OURS, VARIANTS, Work
from tools.places import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results.json"
PAGE = REPOSITORY / "docs" / "serving-benchmark.md"
PLOT = PAGE.with_suffix(".svg")
_NEGLIGIBLE = 0.03

_METHOD = """\
Every server is one process with one onnxruntime thread on one core, except where its design has more processes (mosec,
LitServe, BentoML): they share the core. The client has another core. All run the same ONNX file with the same
onnxruntime and get the same requests over kept-alive connections on the loopback interface: from `wrk`, over gRPC from
a client of our own. Sixteen different questions (`conv` and 256 rows: one) are asked in turns. Before each load they
are asked all at the same time and the answers are compared with what onnxruntime itself gives; a load counts only if
every request was answered with success. Servers take turns, {rounds} rounds of {seconds} s each (twice that for
`conv`), the first after a second of warming up; those that wait are stopped by signal. A figure is the median of the
rounds, a ratio is ours over theirs. CPU is user and system time of all of a server's processes, over the requests.

Settings are the fast ones of each project's documentation: `servers.py`, `works.py` and `peers/` in
[`benchmarks/serving`](../benchmarks/serving). KServe, BentoML, LitServe and FastAPI log no requests; MLServer logs as
it does by default. MLServer knows no V1 and is asked in V2 JSON. `mosec` reads and writes JSON as it comes,
`mosec-msgspec` with msgspec. `onnxruntime` is `session.run` in a loop, without any server, and `http-hello` is uvicorn
(uvloop, httptools) that reads the body and answers `{{}}`: what the runtime and the HTTP server alone could do. Ours
runs as it does by default: validation, metrics, logs and batching are on."""


def work_table(result: WorkResult) -> str:
    """Everything about one work as a Markdown table."""
    ours = result.medians(OURS)
    lines = [
        f"**{result.work.name}**: {_describe(result.work)}",
        "",
        f"| server | asked in | {_unit(result.work)} | CPU µs/request | p99 ms | throughput | CPU | p99 |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in (OURS, *result.work.peers):
        if name in result.failures:
            lines.append(f"| {name} | not measured: {_reason(result.failures[name])} |" + " |" * 6)
            continue
        values = result.medians(name)
        cells = [_figure(values, THROUGHPUT, 1), _figure(values, CPU, 1e6), _figure(values, P99, 1e3)]
        cells += [_times(ours, values, metric) if name != OURS else "" for metric in (THROUGHPUT, CPU, P99)]
        lines.append(f"| {_title(name, result.work)} | {_asked_in(name, result.work)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def target_table(targets: Sequence[Target], ratios: Sequence[Ratio]) -> str:
    """Targets and what came out, as a Markdown table."""
    lines = ["| work | beside | metric | target | measured | |", "|---|---|---|--:|--:|---|"]
    for target in targets:
        ratio = target.ratio(ratios)
        measured = "not measured" if ratio is None else f"{ratio:.2f} x"
        bound = f"{'≥' if target.is_least else '≤'} {target.bound:g} x"
        verdict = "met" if target.is_met(ratios) else "**missed**"
        lines.append(f"| {target.work} | {target.peer} | {target.metric} | {bound} | {measured} | {verdict} |")
    return "\n".join(lines)


def foreign_load(results: Sequence[WorkResult]) -> str:
    """How much the machine was in use by others meanwhile."""
    share = max((result.foreign for result in results), default=0)
    verdict = "negligible" if share <= _NEGLIGIBLE else "too much to trust requests/s and p99; CPU is sturdier"
    return f"Other programs took {share:.0%} of the servers' core while a work was measured, at most: {verdict}."


def write(results: Sequence[WorkResult], *, rounds: int, seconds: int) -> None:
    """Write the results, the page and the plot."""
    ratios = [ratio for result in results for ratio in result.ratios()]
    of_peers = [asdict(ratio) for ratio in ratios if ratio.peer not in VARIANTS]
    RESULTS.write_text(json.dumps(of_peers, indent=1) + "\n", encoding="utf-8")
    PLOT.write_text(chart.draw(results), encoding="utf-8")
    sections = [
        "# The server beside its peers",
        f"Made by `make bench` (`python -m benchmarks serving` makes only this) on {_machine()}.\n{_versions()}\n"
        f"{foreign_load(results)}",
        f"![Throughput of each server, per kind of load]({PLOT.name})",
        "## Targets",
        target_table(TARGETS, ratios),
        "## Method",
        _METHOD.format(rounds=rounds, seconds=seconds),
        "## Measured",
        *(work_table(result) for result in results),
    ]
    PAGE.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _describe(work: Work) -> str:
    rows = "1 row" if work.rows == 1 else f"{work.rows} rows"
    clients = "1 client" if work.connections == 1 else f"{work.connections} clients"
    return f"model `{work.model}`, {work.protocol}, {rows} a request, {clients}"


def _unit(work: Work) -> str:
    return "requests/s" if work.rows == 1 else "rows/s"


def _title(name: str, work: Work) -> str:
    if name == LOOP:
        return f"{name}, batches of {work.loop_batch}"
    return f"{name}, batching" if work.batches.get(name, 1) > 1 else name


def _asked_in(name: str, work: Work) -> str:
    return "" if name == LOOP else str(SERVERS[name].protocol(work.protocol))


def _reason(failure: str) -> str:
    first, *others = failure.strip().splitlines()
    return " ".join([first, *others[-1:]])[:200].replace("|", "/")


def _figure(values: dict[str, float], metric: str, scale: float) -> str:
    if metric not in values:
        return ""
    value = values[metric] * scale
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ours: dict[str, float], theirs: dict[str, float], metric: str) -> str:
    if metric not in ours or not theirs.get(metric):
        return ""
    return f"{ours[metric] / theirs[metric]:.2f} x"


def _machine() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    cpu = found[1] if found else platform.machine()
    return (
        f"{os.cpu_count()} cores ({cpu}), {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _versions() -> str:
    packages = {(server.environment, server.package): None for server in SERVERS.values()}
    return ", ".join(f"{package} {environments.version(name, package)}" for name, package in packages) + "."
