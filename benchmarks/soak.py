"""`python -m benchmarks soak`: full load in every protocol, and the model switched all the while; memory stays flat.

One server on a core of its own serves the tabular model from a folder. On the other core clients ask in V1, V2 JSON, V2
binary and V2 gRPC at once. Every few seconds a new version is put into the folder, and an old one taken away.
"""

import argparse
import json
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from benchmarks.serving import environments, models
from benchmarks.serving.clients import Client
from benchmarks.serving.instance import BenchError, Instance, Serving, start
from benchmarks.serving.models import BenchModel
from benchmarks.serving.processes import Cores, busy_seconds
from benchmarks.serving.protocols import Protocol
from benchmarks.serving.servers import SERVERS
from benchmarks.serving.works import OURS, Work
from tools import debian
from tools.console import Console
from tools.places import Home

_WORKS = (
    Work("soak-v1", "tabular", Protocol.V1, 1, 32, ()),
    Work("soak-json", "tabular", Protocol.V2_JSON, 1, 32, ()),
    Work("soak-binary", "tabular", Protocol.V2_BINARY, 16, 16, ()),
    Work("soak-grpc", "tabular", Protocol.V2_GRPC, 1, 16, ()),
)
_SWITCH_SECONDS = 10
_SAMPLE_SECONDS = 1
_WARM_UP = 0.2  # of the time: caches fill, the allocator finds its size
_WINDOW = 0.1  # of the time: what is compared, after the warm-up and at the end
_MOST_GROWTH = 1.05


@dataclass(frozen=True)
class Sample:
    """The server's memory at a moment.

    Attributes:
        at: When, as a share of the whole time.
        rss: Resident bytes.
    """

    at: float
    rss: int


@dataclass(frozen=True)
class Soak:
    """What came of it.

    Attributes:
        seconds: How long it took.
        requests: How many were answered, all of them well.
        cpu: Seconds of CPU that the server took.
        busy: Seconds that its core was busy, with whatever.
        switches: How often the model was.
        samples: The server's memory.
    """

    seconds: float
    requests: int
    cpu: float
    busy: float
    switches: int
    samples: Sequence[Sample]

    def settled(self) -> float:
        """Resident bytes after the warm-up."""
        return self._median(_WARM_UP, _WARM_UP + _WINDOW)

    def final(self) -> float:
        """Resident bytes at the end."""
        return self._median(1 - _WINDOW, 1)

    def _median(self, begin: float, end: float) -> float:
        return median(each.rss for each in self.samples if begin <= each.at <= end)


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 if memory grows by more than 5 % after the warm-up.

    Raises:
        ToolError: the load generator is not there, and cannot be installed.
        BenchError: the server did not start, or a request failed.
    """
    parser = argparse.ArgumentParser("benchmarks soak", description="Full load for a while: memory stays flat.")
    parser.add_argument("--minutes", type=float, default=10, help="for how long (default: %(default)s)")
    seconds = int(parser.parse_args(arguments).minutes * 60)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is on disk is cleaned up then too
    console = Console(Home.current().log)
    debian.install({"wrk": "wrk"}, console)
    with TemporaryDirectory(prefix="soak-") as folder:
        soak = _soak(Path(folder), environments.make(None, console), seconds)
    mib = 2**20
    growth = soak.final() / soak.settled()
    print(f"requests: {soak.requests} in {soak.seconds:.0f} s ({soak.requests / soak.seconds:.0f}/s), none failed")
    print(
        f"server: {soak.cpu / soak.seconds:.0%} of its core, which was busy {soak.busy / soak.seconds:.0%} of the time"
    )
    print(f"switches: {soak.switches}")
    print(f"RSS after warm-up: {soak.settled() / mib:.1f} MiB; at the end: {soak.final() / mib:.1f} MiB")
    print(f"RSS at most: {max(each.rss for each in soak.samples) / mib:.1f} MiB")
    print(f"growth: {growth - 1:+.2%} (at most {_MOST_GROWTH - 1:.0%})")
    return int(growth > _MOST_GROWTH)


def _soak(folder: Path, programs: Path, seconds: int) -> Soak:
    cores = Cores.of_this_machine()
    model = models.write("tabular", folder)
    instance = start(SERVERS[OURS], Serving(model, 1, programs), folder, cores.server)
    try:
        clients = [Client(work, model, folder, cores, programs) for work in _WORKS]
        for client in clients:
            client.check(instance)
        began, cpu, busy = time.monotonic(), instance.process.cpu_seconds(), busy_seconds(cores.server)
        with ThreadPoolExecutor(len(clients)) as pool:
            loads = [pool.submit(client.load, instance, seconds) for client in clients]
            samples, switches = _watch(instance, model, seconds)
            answered = sum(load.result().requests for load in loads)
        took, used = time.monotonic() - began, instance.process.cpu_seconds() - cpu
        busy = busy_seconds(cores.server) - busy
        for client in clients:
            client.check(instance)
        return Soak(took, answered, used, busy, switches, samples)
    finally:
        instance.process.end()


def _watch(instance: Instance, model: BenchModel, seconds: int) -> tuple[list[Sample], int]:
    """Sample the memory for so long, and switch the model on the way; the samples, and how many switches there were."""
    began = time.monotonic()
    samples: list[Sample] = []
    version = 1
    while (now := time.monotonic() - began) < seconds:
        samples.append(Sample(now / seconds, instance.process.resident_bytes()))
        if now > version * _SWITCH_SECONDS:
            if (served := _served(instance, model)) != version:
                raise BenchError(f"version {version} was put there {_SWITCH_SECONDS} s ago; served is {served}")
            version += 1
            _put(model, version)
        time.sleep(_SAMPLE_SECONDS)
    return samples, version - 1


def _put(model: BenchModel, version: int) -> None:
    """Put another version there, and take away the one before the last."""
    incoming = model.folder / ".incoming"
    shutil.copytree(model.file.parent, incoming)
    incoming.rename(model.folder / str(version))
    # The first one is what others are copied from; it and the served one stay.
    if version > 3:
        shutil.rmtree(model.folder / str(version - 2))


def _served(instance: Instance, model: BenchModel) -> int:
    with urlopen(f"http://127.0.0.1:{instance.port}/v1/models/{model.name}", timeout=30) as answer:
        return int(json.load(answer)["model_version_status"][0]["version"])
