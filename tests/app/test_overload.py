"""More than can be done: refused at once, in bounded memory, over as soon as the load is. And the end under load."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.support import models
from tests.app.support.folder import folder_server, put
from tests.app.support.load import Load
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer
from tests.app.support.wire import Wire, post

_PATH = "/v1/models/slow:predict"
_BODY = b'{"instances": [[1, 2, 3]]}'
_RIGHT = b'{"predictions":[[1.0,2.0,3.0]]}'
_RUN_SECONDS = 0.05
_MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    """`slow` runs one row at a time, for some 50 ms; eight may wait."""
    folder = tmp_path_factory.mktemp("overload")
    put(folder / "slow", models.slow(25_000))
    put(folder / "quick", models.scaling(2))
    with folder_server(
        folder,
        {"slow": {"max_batch_size": 1, "max_enqueued_batches": 8}, "quick": {}},
        INFERENCE_INTRA_OP_THREADS="1",
        INFERENCE_ACCESS_LOG_PER_SECOND="5",
    ) as server:
        yield server


def test_more_than_may_wait_is_refused_at_once(server: InferenceServer) -> None:
    address = (server.http.base_url.host, server.http.base_url.port or 80)
    answers: Counter[int] = Counter()
    wires = [Wire(address) for _ in range(60)]
    for wire in wires:
        wire.socket.settimeout(30)
        wire.send(post(_PATH, _BODY))
    began = time.monotonic()
    server.http.get("/healthz")
    patience = time.monotonic() - began
    for wire in wires:
        answer = wire.answer()
        answers[answer.status] += 1
        if answer.status == 429:
            assert answer.header("retry-after") == "1"
            assert b"wait for this model already" in answer.body
            assert answer.header("connection") is None, "the client may try again on it"
        else:
            assert (answer.status, answer.body) == (200, _RIGHT)
        wire.socket.close()
    assert set(answers) == {200, 429}
    assert 8 <= answers[200] <= 16, "those that wait, and those that ran meanwhile"
    assert patience < 2, "the server has time to answer others"
    assert server.predict([[1, 2, 3]]).status_code == 200, "nothing is left of it"


def test_other_models_are_not_held_up(server: InferenceServer) -> None:
    with Load(str(server.http.base_url), _PATH, {"instances": [[1, 2, 3]]}, clients=6) as load:
        eventually(lambda: load.answers[200, "1"], "the load to begin")
        for _ in range(20):
            response = server.http.post("/v1/models/quick:predict", json={"instances": [[1, 2, 3]]})
            assert response.status_code == 200


def test_memory_is_bounded_under_overload(server: InferenceServer) -> None:
    body = json.dumps({"instances": [[1.25, 2.5, 3.75]]}).encode().ljust(2 * _MIB)
    url = f"{server.http.base_url}{_PATH}"
    stop = threading.Event()
    answers: Counter[int] = Counter()

    def ask() -> None:
        with httpx.Client(timeout=30) as http:
            while not stop.is_set():
                answers[http.post(url, content=body).status_code] += 1

    before = server.process.resident_bytes()
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(30)]
    for thread in threads:
        thread.start()
    largest = 0
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        largest = max(largest, server.process.resident_bytes())
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert answers[429] > 50
    assert set(answers) == {200, 429}
    # Pending bodies (64 MiB), each once more while it is put together, and what sockets bring in meanwhile.
    assert largest - before < 200 * _MIB
    began = time.monotonic()
    assert server.predict([[1, 2, 3]]).status_code == 200
    assert time.monotonic() - began < 20 * _RUN_SECONDS, "no work of those who are gone is done"


def test_who_goes_away_makes_room(server: InferenceServer) -> None:
    address = (server.http.base_url.host, server.http.base_url.port or 80)
    for _ in range(5):  # each round would fill the queue
        wires = [Wire(address) for _ in range(8)]
        for wire in wires:
            wire.send(post(_PATH, _BODY))
        for wire in wires:
            wire.socket.close()
        server.http.get("/healthz")  # its answer shows that the loop has seen what was sent before
        began = time.monotonic()
        assert server.predict([[1, 2, 3]]).status_code == 200
        assert time.monotonic() - began < 10 * _RUN_SECONDS


def test_the_access_log_says_what_it_omits(server: InferenceServer) -> None:
    def accounted() -> tuple[int, int]:
        lines = server.log_lines(logger="inference_app.access")
        return len(lines), sum(int(line.get("omitted", 0)) for line in lines)

    before = sum(accounted())
    for _ in range(300):
        server.http.get("/healthz")
    # Whatever comes in a later second tells of what was left out in this one.
    eventually(lambda: server.is_ready() and sum(accounted()) >= before + 300, "all to be accounted for")
    assert accounted()[1] > 200


def test_the_end_under_load(tmp_path: Path) -> None:
    put(tmp_path / "slow", models.slow(10_000))
    with folder_server(tmp_path, {"slow": {}}) as server:
        ends: list[str] = []
        counted: Counter[int] = Counter()

        def ask() -> None:
            """One client: until it is told to go elsewhere."""
            with httpx.Client(timeout=20) as http:
                while True:
                    try:
                        response = http.post(f"{server.http.base_url}{_PATH}", content=_BODY)
                    except httpx.HTTPError as error:
                        ends.append(repr(error))
                        return
                    counted[response.status_code] += 1
                    if response.headers.get("connection") == "close":
                        ends.append("told")
                        return

        watcher = httpx.Client(base_url=server.http.base_url, timeout=5)
        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: counted[200] > 20, "the load to begin")
        assert watcher.get("/readyz").status_code == 200
        began = time.monotonic()
        server.process.terminate()
        eventually(lambda: watcher.get("/readyz").status_code == 503, "it to say so, while it still takes connections")
        watcher.close()
        noticed = time.monotonic()
        while time.monotonic() < noticed + 0.5:  # probes come on connections of their own
            assert httpx.get(f"{server.http.base_url}/readyz", timeout=5).status_code == 503
        for thread in threads:
            thread.join(20)
        assert ends == ["told"] * 8
        assert set(counted) == {200}
        assert server.process.wait() == 0
        assert time.monotonic() - began < 10
