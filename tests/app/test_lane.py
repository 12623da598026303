"""The hot path against the usual way: the same bytes in give the same bytes out, and no client can hurt another."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference_app.model import Datatype, Signature
from tests.app.support.in_process import InProcess
from tests.app.support.processes import eventually
from tests.app.support.served import EchoModel, spec
from tests.app.support.wire import Answer, Wire, chunked, post

_V1 = "/v1/models/demo:predict"
_V2 = "/v2/models/demo/infer"
_BODY = b'{"instances": [[1, 2]]}'
_RIGHT = b'{"predictions":[[1.0,2.0]]}'
_LARGEST = 65536
_PENDING = 4 * _LARGEST
_SECONDS = 0.5
_HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

_TENSOR = {"name": "input", "shape": [1, 2], "datatype": "FP32"}
_V2_JSON = json.dumps({"id": "a", "inputs": [{**_TENSOR, "data": [1, 2]}]}).encode()
_HEAD = json.dumps(
    {
        "inputs": [{**_TENSOR, "parameters": {"binary_data_size": 8}}],
        "outputs": [{"name": "output", "parameters": {"binary_data": True}}],
    }
).encode()
_V2_BINARY = _HEAD + b"\0\0\x80?\0\0\0@"
_SIZE = f"Inference-Header-Content-Length: {len(_HEAD)}"


def _start(folder: Path, *, hot: bool) -> InProcess:
    signature = Signature((spec(Datatype.FP32, None, 2),), (spec(Datatype.FP32, None, 2, name="output"),))
    return InProcess(
        folder,
        EchoModel(signature),
        hot=hot,
        max_body_bytes=_LARGEST,
        max_pending_bytes=_PENDING,
        access_log_per_second=0,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InProcess, InProcess]]:
    """A server with the hot path, and one without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inference_app.app._BODY_SECONDS", _SECONDS)
        folder = tmp_path_factory.mktemp("lane")
        with _start(folder / "hot", hot=True) as hot, _start(folder / "usual", hot=False) as usual:
            yield hot, usual


@pytest.fixture(params=["hot", "usual"])
def server(request: pytest.FixtureRequest, both: tuple[InProcess, InProcess]) -> Iterator[InProcess]:
    """One of them, which every test leaves with nothing in it."""
    chosen = both[0] if request.param == "hot" else both[1]
    yield chosen
    chosen.release()
    eventually(lambda: not chosen.connections, "the connections to end")
    assert chosen.call(lambda: chosen.limits.take(_PENDING)), "bytes are still counted"
    chosen.call(lambda: chosen.limits.give_back(_PENDING))
    assert not chosen.call(lambda: chosen.limits.take(_PENDING + 1)), "bytes were given back that nobody took"


def _ask(server: InProcess, data: bytes) -> tuple[list[Answer], bool]:
    """All answers to what is sent, without what differs from one moment to the next; whether it is closed then."""
    with Wire(server.address) as wire:
        wire.send(data)
        answers = [wire.answer()]
        while answers[-1].status == 100:
            answers.append(wire.answer())
        closes = answers[-1].header("connection") == "close"
        if closes:
            assert wire.is_closed()
        else:
            wire.send(_HEALTH)
            assert wire.answer().body == b'{"status":"alive"}'
    return [_lasting(answer) for answer in answers], closes


def _lasting(answer: Answer) -> Answer:
    made = {"date", "x-request-id"}
    headers = tuple(
        (name, "..." if name in made and not value.startswith("mine") else value) for name, value in answer.headers
    )
    return Answer(answer.status, headers, answer.body)


_REQUESTS = {
    "V1": post(_V1, _BODY),
    "V1, version": post("/v1/models/demo/versions/7:predict", _BODY),
    "V2": post(_V2, _V2_JSON),
    "V2, version": post("/v2/models/demo/versions/7/infer", _V2_JSON),
    "V2, binary": post(_V2, _V2_BINARY, _SIZE),
    "plain": post("/predict", b'{"data": [[1, 2]]}'),
    "wrong rows": post(_V1, b'{"instances": [[1, 2, 3]]}'),
    "not JSON": post(_V1, b"\xff"),
    "empty": post(_V1, b""),
    "no length": post(_V1, b"", length=False),
    "no such model": post("/v1/models/other:predict", _BODY),
    "no such version": post("/v2/models/demo/versions/8/infer", _V2_JSON),
    "no such path": post("/v1/models/demo/versions:predict", _BODY),
    "no name": post("/v1/models/:predict", _BODY),
    "query": post(f"{_V1}?x=1", _BODY),
    "query that looks like inference": post("/v1/models/demo?x=:predict", _BODY),
    "escapes": post("/v1/models/%64emo:predict", _BODY),
    "escapes of nothing": post("/v1/models/%FF%00:predict", _BODY),
    "escaped end of path": post("/v1/models/demo%3Fx:predict", _BODY),
    "two slashes": post(f"/{_V1}", _BODY),
    "absolute": post(f"http://x{_V1}", _BODY),
    "HTTP/1.0": post(_V1, _BODY, version="1.0"),
    "HTTP/1.0, kept": post(_V1, _BODY, "connection: keep-alive", version="1.0"),
    "closed": post(_V1, _BODY, "connection: close"),
    "closed, error": post(_V1, b"", "connection: close"),
    "own id": post(_V1, _BODY, "X-Request-Id: mine-1"),
    "two ids": post(_V1, _BODY, "x-request-id: mine-1", "x-request-id: mine-2"),
    "harmful id": post(_V1, _BODY, 'x-request-id: mine"'),
    "empty id": post(_V1, _BODY, "x-request-id:"),
    "no host": post(_V1, _BODY).replace(b"host: x\r\n", b""),
    "wrong host": post(_V1, _BODY).replace(b"host: x", b"host: ["),
    "chunked": chunked(_V1, _BODY[:5], _BODY[5:]),
    "chunked with trailer": chunked(_V1, _BODY, trailer="x-request-id: mine\r\n"),
    "chunked, nothing": chunked(_V1),
    "expecting": post(_V1, _BODY, "Expect: 100-continue"),
    "expecting, too large": post(_V1, b"", "Expect: 100-continue", f"content-length: {_LARGEST + 1}", length=False),
    "too large": post(_V1, b"", f"content-length: {_LARGEST + 1}", length=False),
    "too large by far": post(_V1, b"", f"content-length: {2**63}", length=False),
    "chunked, too large": chunked(_V1, *[b" " * 16384] * 5),
    "JSON size: garbage": post(_V2, _V2_BINARY, "Inference-Header-Content-Length: -1"),
    "JSON size: empty": post(_V2, _V2_BINARY, "Inference-Header-Content-Length:"),
    "JSON size: two": post(_V2, _V2_BINARY, _SIZE, "Inference-Header-Content-Length: 0"),
    "JSON size: larger than the body": post(_V2, _V2_BINARY, "Inference-Header-Content-Length: 99999"),
    "JSON size: huge": post(_V2, _V2_BINARY, f"Inference-Header-Content-Length: {'9' * 400}"),
    "upgrade": post(_V1, _BODY, "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"),
    "upgrade, closed": post(_V1, _BODY, "connection: close, upgrade", "upgrade: websocket"),
    "length: negative": post(_V1, _BODY, "content-length: -5", length=False),
    "length: garbage": post(_V1, _BODY, "content-length: 0x17", length=False),
    "length: signed": post(_V1, _BODY, "content-length: +23", length=False),
    "length: empty": post(_V1, _BODY, "content-length:", length=False),
    "length: two": post(_V1, _BODY, "content-length: 23"),
    "length: overflowing": post(_V1, _BODY, "content-length: 18446744073709551639", length=False),
    "length and chunks": post(_V1, b"0\r\n\r\n", "transfer-encoding: chunked"),
    "chunk size: garbage": post(_V1, b"zz\r\n", "transfer-encoding: chunked", length=False),
    "chunk size: a lie": post(_V1, b"3\r\n12345\r\n0\r\n\r\n", "transfer-encoding: chunked", length=False),
    "transfer encoding: unknown": post(_V1, _BODY, "transfer-encoding: gzip", length=False),
    "header without a colon": post(_V1, _BODY, "lonely"),
    "header with a null": post(_V1, _BODY, "x: \0"),
    "folded header": post(_V1, _BODY, "x: 1\r\n 2"),
    "HTTP/9.9": post(_V1, _BODY, version="9.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\n\r\n",
    "tunnel": b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    "bytes in the path": b"POST /v1/models/\xff:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "wrong method": b"GET /predict HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", _REQUESTS.values(), ids=_REQUESTS)
def test_both_ways_answer_the_same(both: tuple[InProcess, InProcess], data: bytes) -> None:
    hot, usual = (_ask(server, data) for server in both)
    assert hot == usual
    answer = hot[0][-1]
    assert answer.status < 500
    assert answer.header("content-type") in {"application/json", "application/octet-stream"}
    assert answer.header("x-request-id")
    assert (answer.status == 200) == ("error" not in answer.body.decode(errors="replace"))


def test_the_ways_differ(both: tuple[InProcess, InProcess]) -> None:
    hot, usual = both
    kinds: list[str] = []
    for server in (hot, usual):
        server.hold()
        with Wire(server.address) as wire:
            wire.send(post(_V1, _BODY))
            eventually(server.waiting, "the request to wait")
            kinds += [type(connection.cycle).__name__ for connection in server.connections]
            server.release()
            assert wire.answer().body == _RIGHT
    assert kinds == ["_Exchange", "RequestResponseCycle"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("upgrade", 200),
        ("escapes", 200),
        ("query", 200),
        ("expecting", 200),
        ("no such version", 404),
        ("too large", 413),
        ("chunked, too large", 413),
        ("JSON size: two", 200),
        ("JSON size: empty", 400),
        ("length: two", 400),
        ("length and chunks", 400),
        ("TLS", 400),
        ("wrong host", 200),
    ],
)
def test_what_they_answer(both: tuple[InProcess, InProcess], name: str, status: int) -> None:
    assert _ask(both[0], _REQUESTS[name])[0][-1].status == status


@pytest.mark.parametrize("data", [post(_V2, _V2_BINARY, _SIZE), chunked(_V1, _BODY[:5], _BODY[5:])])
def test_split_at_every_byte(server: InProcess, data: bytes) -> None:
    whole = _ask(server, data)[0][0].body
    with Wire(server.address) as wire, Wire(server.address) as other:
        for place in range(1, len(data)):
            wire.send(data[:place])
            other.send(_HEALTH)  # its answer shows that the loop has seen what was sent before
            other.answer()
            wire.send(data[place:])
            assert wire.answer().body == whole


def test_pipelined_requests_are_answered_in_order(server: InProcess) -> None:
    bodies = [b'{"instances": [[%d, 0]]}' % number for number in range(40)]
    server.hold()
    with Wire(server.address) as wire:
        wire.send(b"".join(post(_V1, body) if number % 3 else _HEALTH for number, body in enumerate(bodies)))
        assert wire.answer().body == b'{"status":"alive"}'
        eventually(server.waiting, "a request to wait")
        server.release()
        for number in range(1, 40):
            expected = b'{"predictions":[[%d.0,0.0]]}' % number if number % 3 else b'{"status":"alive"}'
            assert wire.answer().body == expected


@pytest.mark.parametrize("behind", [64, 65, 500])
def test_so_many_may_wait_behind_one(server: InProcess, behind: int) -> None:
    server.hold()
    with Wire(server.address) as wire:
        wire.send(b"".join(post(_V1, b'{"instances": [[%d, 0]]}' % number) for number in range(behind + 1)))
        eventually(server.waiting, "the first to wait")
        server.release()
        answered = min(behind, 64) + 1
        for number in range(answered):
            answer = wire.answer()
            assert (answer.status, answer.body) == (200, b'{"predictions":[[%d.0,0.0]]}' % number)
            is_last_of_too_many = behind > 64 and number == answered - 1
            assert answer.header("connection") == ("close" if is_last_of_too_many else None)
        if behind > 64:
            assert wire.is_closed()


def test_rubbish_after_a_request_does_not_cost_its_answer(server: InProcess) -> None:
    server.hold()
    with Wire(server.address) as wire:
        wire.send(post(_V1, _BODY) + b"rubbish\r\n\r\n")
        eventually(server.waiting, "the request to wait")
        server.release()
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, _RIGHT)
        assert answer.header("connection") == "close"
        assert wire.is_closed()


@pytest.mark.parametrize("header", ["x: y", "Expect: 100-continue"])
def test_who_goes_away_leaves_the_queue(server: InProcess, header: str) -> None:
    counted = _counter(server, 499)
    server.hold()
    cancelled = server.model.cancelled
    with Wire(server.address) as wire:
        wire.send(post(_V1, _BODY, header))
        eventually(server.waiting, "the request to wait")
    eventually(lambda: server.waiting() == 0, "the request to leave the queue")
    assert server.model.cancelled == cancelled + 1
    eventually(lambda: counted() == 1, "the request to be counted")


def test_who_goes_away_in_the_middle_is_counted(server: InProcess) -> None:
    counted = _counter(server, 499)
    with Wire(server.address) as wire:
        wire.send(post(_V1, _BODY)[:-3])
        eventually(lambda: [each for each in server.connections if each.cycle], "the headers to be seen")
    eventually(lambda: counted() == 1, "the request to be counted")


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(post(_V1, _BODY)[:-3], id="body"),
        pytest.param(post(_V1, _BODY)[:30], id="headers"),
        pytest.param(b"P", id="method"),
        pytest.param(chunked(_V1, _BODY)[:-7], id="chunks"),
        pytest.param(chunked(_V1, _BODY)[:-2] + b"x: ", id="trailer"),
        pytest.param(post(_V1, _BODY, "Expect: 100-continue")[:-3], id="expecting"),
    ],
)
def test_slow_senders_are_told(server: InProcess, start: bytes) -> None:
    began = time.monotonic()
    with Wire(server.address) as wire:
        wire.send(start)
        answer = wire.answer()
        if answer.status == 100:
            answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert b"not complete within 0.5 s" in answer.body
        assert wire.is_closed()
    assert time.monotonic() - began < 10 * _SECONDS


def test_a_slow_sender_is_counted_from_its_first_byte(server: InProcess) -> None:
    with Wire(server.address) as wire:
        began = time.monotonic()
        for byte in post(_V1, _BODY):
            try:
                wire.send(bytes([byte]))
            except OSError:
                break
            time.sleep(0.01)
        assert wire.answer().status == 408
        assert time.monotonic() - began < 10 * _SECONDS


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param((b"POST /predict HTTP/1.1\r\nx: ", b"a"), id="header"),
        pytest.param((b"POST /predict HTTP/1.1\r\n", b"x: y\r\n"), id="headers"),
        pytest.param((b"POST /", b"a"), id="path"),
        pytest.param((chunked(_V1, _BODY)[:-2] + b"x: ", b"a"), id="trailer"),
        pytest.param((post(_V1, b"5;x=", "transfer-encoding: chunked", length=False), b"a"), id="chunk extension"),
        pytest.param((b"", b"\r\n"), id="nothing"),
    ],
)
def test_heads_are_bounded(server: InProcess, endless: tuple[bytes, bytes]) -> None:
    first, then = endless
    sent = 0
    with Wire(server.address) as wire:
        wire.send(first)
        try:
            while sent < 2**24:
                wire.send(then * (4096 // len(then)))
                sent += 4096
        except OSError:
            pass
        assert sent < 2**23, "nobody stopped it"
        assert wire.answer().status in {400, 431}


def test_bodies_together_are_bounded(server: InProcess) -> None:
    counted = _counter(server, 429)
    server.hold()
    wires = [Wire(server.address) for _ in range(6)]
    for wire in wires[:4]:
        wire.send(post(_V1, _BODY.ljust(_LARGEST)))
    eventually(lambda: server.waiting() == 4, "four requests to wait")
    wires[4].send(post(_V1, _BODY))
    refused = wires[4].answer()
    assert (refused.status, refused.header("retry-after"), refused.header("connection")) == (429, "1", "close")
    assert counted() == 1
    wires[0].socket.close()
    eventually(lambda: server.waiting() == 3, "one to go")
    wires[5].send(post(_V1, _BODY))
    eventually(lambda: server.waiting() == 4, "its room to be taken")
    server.release()
    for wire in (*wires[1:4], wires[5]):
        assert wire.answer().body == _RIGHT
        wire.socket.close()
    wires[4].socket.close()


@pytest.mark.parametrize("together", [1, 1000])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(post(_V1, _BODY), id="right"),
        pytest.param(post(_V1, b"{"), id="wrong"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", id="other"),
    ],
)
def test_who_does_not_read_cannot_fill_the_memory(server: InProcess, request_: bytes, together: int) -> None:
    sent, written, waiting = 0, 0, 0
    with Wire(server.address, receive_buffer=4096) as wire:
        wire.socket.settimeout(0.2)
        try:
            while sent < 2**24:
                sent += wire.socket.send(request_ * together)
                if together > 1 or sent % 2**12 < len(request_):
                    for connection in server.connections:
                        written = max(written, connection.transport.get_write_buffer_size())
                        waiting = max(waiting, len(connection.pipeline))
        except OSError:
            pass
        assert sent < 2**24, "it was read on and on"
        assert written < 2**18
        assert waiting <= 64
        eventually(lambda: not server.connections, "it to be cut off")


def test_a_slow_reader_gets_all_of_it(server: InProcess) -> None:
    count = 3000
    with Wire(server.address, receive_buffer=4096) as wire:
        body = b'{"instances": [' + b",".join([b"[1.25, 2.5]"] * count) + b"]}"
        for _ in range(4):
            wire.send(post(_V1, body))
            answer = wire.answer()
            assert (answer.status, answer.body.count(b"[1.25,2.5]")) == (200, count)


@pytest.mark.parametrize("hot", [True, False])
def test_draining_tells_everybody(tmp_path: Path, hot: bool) -> None:
    with _start(tmp_path, hot=hot) as server, Wire(server.address) as first, Wire(server.address) as second:
        for wire in (first, second):
            wire.send(_HEALTH)
            assert wire.answer().header("connection") is None
        server.call(server.models.drain)
        first.send(post(_V1, _BODY))
        second.send(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        for wire, status in ((first, 200), (second, 503)):
            answer = wire.answer()
            assert (answer.status, answer.header("connection")) == (status, "close")
            assert wire.is_closed()


def _counter(server: InProcess, status: int) -> Callable[[], int]:
    """How many inferences were answered with this status from now on."""

    def count() -> int:
        with Wire(server.address) as wire:
            wire.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            lines = wire.answer().body.decode().splitlines()
        found = [line for line in lines if line.startswith("inference_request_total") and f'"{status}"' in line]
        return sum(int(float(line.rpartition(" ")[2])) for line in found)

    before = count()
    return lambda: count() - before
