"""Whatever bytes come, for whatever model: an answer or a message, never a 500, and the same process as before."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.app.support import models
from tests.app.support.folder import folder_server, put
from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer
from tests.app.support.wire import Wire, post

_MIB = 2**20
_MODELS = {
    "scaling": models.scaling(2),
    "integers": models.integers(),
    "lookup": models.lookup(),
    "one-row": models.failing_above_one_row(),
    "mixing": models.sum_over_rows(),
    "maps": models.classifier(zipmap=True),
}
_INPUTS = {"maps": "X"}
_WIDTHS = {"integers": 2, "lookup": 1, "maps": 2}
_DATATYPES = {"integers": "INT32", "lookup": "INT64"}

_sizes = st.integers(-1, 5) | st.sampled_from([2**16, 2**31, 2**32, 2**33, 2**62, 2**63, 2**64 - 1, 2**64, 1e300, 1.5])
_odd: list[Any] = [2**31, 2**63, -(2**63), 1e38, 1e39, 1e308, 0.1, True, None, "1", "NaN", [], {}, [1]]
_numbers = st.integers(-5, 5) | st.sampled_from(_odd) | st.floats(allow_nan=True, allow_infinity=True)
_raw_numbers = st.sampled_from(
    [b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\x80\x3f", b"\1\0\0\0"]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    folder = tmp_path_factory.mktemp("fuzz")
    for name, content in _MODELS.items():
        put(folder / name, content)
    with folder_server(folder, {name: {} for name in _MODELS}, INFERENCE_ACCESS_LOG_PER_SECOND="0") as server:
        pid = server.process.pid
        yield server
        assert server.process.pid == pid
        assert server.log_lines(message="unhandled exception") == []


@st.composite
def _binary(draw: st.DrawFn, name: str) -> tuple[bytes, str]:
    """A V2 request with raw tensors, and its header; right in most of its parts, or in all."""
    width = _WIDTHS.get(name, 3)
    rows = draw(st.integers(1, 4))
    wide = name == "lookup"
    raw = b"".join(draw(st.lists(_raw_numbers, min_size=rows * width, max_size=rows * width))) * (2 if wide else 1)
    raw = draw(st.sampled_from([raw, raw, raw[:-1], raw + b"\0", b""]) | st.binary(max_size=40))
    shape = draw(st.just([rows, width]) | st.just([rows, width]) | st.lists(_sizes, max_size=70))
    size = draw(st.sampled_from([len(raw), len(raw), 0, -1, len(raw) + 1, 2**63, 2**64]))
    tensor = {
        "name": draw(st.sampled_from([_INPUTS.get(name, "input")] * 4 + ["", "x" * 5000])),
        "datatype": draw(st.sampled_from([_DATATYPES.get(name, "FP32")] * 4 + ["FP16", "BYTES", "BOOL", "FP8", None])),
        "shape": shape,
        "parameters": {"binary_data_size": size},
    }
    document = {"inputs": [tensor], "parameters": {"binary_data_output": draw(st.booleans())}}
    head = json.dumps(document).encode()
    lie = draw(st.sampled_from([len(head)] * 6 + [0, 1, len(head) - 1, len(head) + 1, 2**31, 10**17]))
    return head + raw, str(lie)


def _zeros(name: str) -> tuple[bytes, str]:
    """A request that every model answers."""
    width, datatype = _WIDTHS.get(name, 3), _DATATYPES.get(name, "FP32")
    raw = bytes(width * (8 if datatype == "INT64" else 4))
    tensor = {"name": _INPUTS.get(name, "input"), "datatype": datatype, "shape": [1, width]}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}).encode()
    return head + raw, str(len(head))


@pytest.mark.parametrize("name", _MODELS)
def test_any_raw_tensor_is_answered_or_refused(server: InferenceServer, name: str) -> None:
    statuses: set[int] = set()

    @given(_binary(name))
    @example(_zeros(name))
    @example((b"", "0"))
    @settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
    def ask(request: tuple[bytes, str]) -> None:
        body, size = request
        headers = {"Inference-Header-Content-Length": size}
        response = server.http.post(f"/v2/models/{name}/infer", content=body, headers=headers)
        statuses.add(response.status_code)
        assert response.status_code in {200, 400}, (response.status_code, response.text)
        if response.status_code == 400:
            assert response.json()["error"]

    ask()
    assert statuses == {200, 400}


@given(
    name=st.sampled_from(list(_MODELS)),
    rows=st.lists(st.lists(_numbers, min_size=1, max_size=3), min_size=1, max_size=4),
    nesting=st.sampled_from([0, 0, 0, 1, 5, 900, 1100, 100_000]),
)
@example(name="lookup", rows=[[2**62]], nesting=0)
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_row_is_answered_or_refused(
    server: InferenceServer, name: str, rows: list[list[object]], nesting: int
) -> None:
    body = b'{"instances": ' + b"[" * nesting + json.dumps(rows).encode() + b"]" * nesting + b"}"
    response = server.http.post(f"/v1/models/{name}:predict", content=body)
    assert response.status_code in {200, 400}, response.text
    assert (response.status_code == 200) != ("error" in response.json())


@pytest.mark.parametrize("kind", ["announced", "chunked", "usual way", "a lie"])
def test_a_hundred_megabytes_are_refused_in_little_memory(server: InferenceServer, kind: str) -> None:
    address = (server.http.base_url.host, server.http.base_url.port or 80)
    path = f"/v1/models/scaling:predict{'?x' if kind == 'usual way' else ''}"
    chunk = b" " * _MIB
    before = server.process.resident_bytes()
    largest = 0
    with Wire(address) as wire:
        if kind in {"announced", "a lie"}:
            wire.send(post(path, b"", f"content-length: {100 * _MIB if kind == 'announced' else 2**62}", length=False))
        else:
            wire.send(post(path, b"", "transfer-encoding: chunked", length=False))
            chunk = b"%x\r\n%s\r\n" % (len(chunk), chunk)
        sent = 0
        try:
            while sent < 100:
                wire.send(chunk)
                sent += 1
                largest = max(largest, server.process.resident_bytes())
        except OSError:
            pass
        assert sent < 50, "it was read on"
        answer = wire.answer()
    assert (answer.status, answer.header("connection")) == (413, "close")
    assert b"larger than 8388608 bytes" in answer.body
    assert largest - before < 40 * _MIB


def test_many_large_bodies_at_once_stay_in_bounds(server: InferenceServer) -> None:
    address = (server.http.base_url.host, server.http.base_url.port or 80)
    before = server.process.resident_bytes()
    wires = [Wire(address) for _ in range(40)]  # five times what may be pending
    refused = 0
    large = post("/v1/models/scaling:predict", b" " * (8 * _MIB - 1), f"content-length: {8 * _MIB}", length=False)
    for wire in wires:
        try:
            wire.send(large)
        except OSError:
            refused += 1
    assert server.http.get("/healthz").status_code == 200
    assert refused > 20
    assert server.process.resident_bytes() - before < 150 * _MIB
    for wire in wires:
        wire.socket.close()
    small = {"instances": [[1, 2, 3]]}
    eventually(
        lambda: server.http.post("/v1/models/scaling:predict", json=small).status_code == 200,
        "the room of those who are gone to be free",
        timeout=5,
    )
