"""Measure servers in turns: round after round, each of them under the same load on the same core."""

from collections import defaultdict
from pathlib import Path
from typing import Self

from benchmarks.serving import environments, models
from benchmarks.serving.clients import Client
from benchmarks.serving.instance import BenchError, Instance, Serving, start
from benchmarks.serving.measurements import CPU, P99, THROUGHPUT, Measurement, WorkResult
from benchmarks.serving.models import BenchModel
from benchmarks.serving.processes import Cores, busy_seconds
from benchmarks.serving.servers import SERVERS
from benchmarks.serving.works import LOOP, OURS, Work
from tools.console import Console
from tools.errors import ToolError

_WARM_UP_SECONDS = 1

# Server, model, most requests in a batch: what one process can be asked for.
_Key = tuple[str, str, int]


class Bench:
    """One run; it ends every server that it started.

    Args:
        folder: Where models, requests and logs go.
        console: Where progress is said.
        rounds: How often each server is measured.
        seconds: For how long.
    """

    def __init__(self, folder: Path, console: Console, *, rounds: int, seconds: int) -> None:
        self._folder = folder
        self._console = console
        self._rounds = rounds
        self._seconds = seconds
        self._cores = Cores.of_this_machine()
        self._models: dict[str, BenchModel] = {}
        self._running: dict[_Key, Instance] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_all_but(set())

    def measure(self, work: Work) -> WorkResult:
        """Measure ours and a work's peers; those that cannot be are left out, with the reason."""
        if work.model not in self._models:
            self._models[work.model] = models.write(work.model, self._folder)
        grpc_programs = environments.make("client", self._console)
        client = Client(work, self._models[work.model], self._folder, self._cores, grpc_programs)
        names = (OURS, *work.peers)
        self._end_all_but({(name, work.model, work.batches.get(name, 1)) for name in names})
        rounds: dict[str, list[Measurement]] = defaultdict(list)
        failures: dict[str, str] = {}
        for number in range(1, self._rounds + 1):
            with self._console.step(f"{work.name}, round {number} of {self._rounds}"):
                for name in names:
                    if name in failures:
                        continue
                    try:
                        rounds[name].append(self._round(name, work, client))
                    except (BenchError, ToolError) as error:
                        failures[name] = str(error)
                        self._console.say(f"  {name} cannot be measured: {error}")
        return WorkResult(work, {name: rounds[name] for name in names if name not in failures}, failures)

    def _round(self, name: str, work: Work, client: Client) -> Measurement:
        seconds = round(self._seconds * work.patience)
        if name == LOOP:
            run = client.loop(seconds)
            rows = run.runs * work.loop_batch
            values = {THROUGHPUT: rows / run.seconds, CPU: run.cpu / rows * work.rows}
            return Measurement(values, foreign=max(0.0, 1 - run.cpu / run.seconds))
        key = (name, work.model, work.batches.get(name, 1))
        is_new = key not in self._running
        if is_new:
            self._running[key] = self._start(name, work)
        instance = self._running[key]
        instance.process.resume()
        try:
            client.check(instance)
            if is_new:
                client.load(instance, _WARM_UP_SECONDS)
            busy, before = busy_seconds(self._cores.server), instance.process.cpu_seconds()
            load = client.load(instance, seconds)
            cpu, busy = instance.process.cpu_seconds() - before, busy_seconds(self._cores.server) - busy
        except BenchError as error:
            raise BenchError(f"{error}\n{instance.process.last_words}") from error
        finally:
            instance.process.freeze()
        values = {THROUGHPUT: load.requests * work.rows / load.seconds, CPU: cpu / load.requests, P99: load.p99}
        return Measurement(values, foreign=max(0.0, busy - cpu) / load.seconds)

    def _start(self, name: str, work: Work) -> Instance:
        programs = environments.make(SERVERS[name].environment, self._console)
        serving = Serving(self._models[work.model], work.batches.get(name, 1), programs)
        return start(SERVERS[name], serving, self._folder, self._cores.server)

    def _end_all_but(self, keys: set[_Key]) -> None:
        for key in set(self._running) - keys:
            self._running.pop(key).process.end()
