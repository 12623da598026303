"""What costs grow with: not with the models beside the one that is asked, nor with anything at the start."""

import time
from pathlib import Path

from tests.app.support import models
from tests.app.support.folder import folder_server, put
from tests.app.support.server import InferenceServer
from tests.app.support.wire import Wire, post

_REQUEST = post("/v1/models/model-0:predict", b'{"instances": [[1, 2, 3]]}')
_MANY = 100
_FEWEST, _MOST = 4, 30  # rounds
_REQUESTS = 800  # in each
_START_SECONDS = 1.5  # to load this model takes a few milliseconds of it


def test_a_request_costs_the_same_with_many_models(tmp_path: Path) -> None:
    content = models.scaling(2)
    settings = {"INFERENCE_POLL_SECONDS": "5", "INFERENCE_INTRA_OP_THREADS": "1"}
    for folder, count in (("one", 1), ("many", _MANY)):
        for number in range(count):
            put(tmp_path / folder / f"model-{number}", content)
    with (
        folder_server(tmp_path / "one", {"model-0": {}}, **settings) as one,
        folder_server(tmp_path / "many", {f"model-{number}": {} for number in range(_MANY)}, **settings) as many,
    ):
        rounds: list[tuple[float, float]] = []
        # Others on the machine can only add to what a round costs: the cheapest is what it costs without them.
        while len(rounds) < _FEWEST or _cheapest(rounds, 1) > 1.25 * _cheapest(rounds, 0):
            assert len(rounds) < _MOST, rounds
            rounds.append((_cpu_seconds(one), _cpu_seconds(many)))


def _cheapest(rounds: list[tuple[float, float]], place: int) -> float:
    return min(costs[place] for costs in rounds)


def test_ready_soon_after_the_start(tmp_path: Path) -> None:
    put(tmp_path / "model", models.scaling(2))
    took: list[float] = []
    while len(took) < 5 and min(took, default=9) > _START_SECONDS:
        began = time.monotonic()
        with folder_server(tmp_path, {"model": {}}):
            took.append(time.monotonic() - began)
    assert min(took) <= _START_SECONDS, took


def _cpu_seconds(server: InferenceServer) -> float:
    """What a round of requests costs the server."""
    before = server.process.cpu_seconds()
    with Wire((server.http.base_url.host, server.http.base_url.port or 80)) as wire:
        for _ in range(_REQUESTS):
            wire.send(_REQUEST)
            assert wire.answer().status == 200
    return server.process.cpu_seconds() - before
