"""The V2 protocol over REST: JSON and raw bytes to tensors, tensors to JSON and raw bytes."""

import json
import struct
from typing import Any, cast

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, InferRequest, ModelSlot, OutputRequest, Signature, Tensor
from inference_app.protocols import V2Codec
from inference_app.protocols.v2_documents import model_metadata, repository_index, server_metadata
from tests.app.support.served import serving, spec

_FP32 = Signature((spec(Datatype.FP32, None, 2),), (spec(Datatype.FP32, None, 2, name="output"),))
_PERSON = Signature(
    (spec(Datatype.INT8, None, name="age"), spec(Datatype.BYTES, None, 1, name="city")),
    (spec(Datatype.INT8, None, name="age_out"), spec(Datatype.BYTES, None, 1, name="city_out")),
)
_GRID = Signature((spec(Datatype.INT64, None, 2, 2),), ())
_CODEC = V2Codec()

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_sizes = st.integers(-1, 40) | st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64 - 1]) | st.none()
_parameters = st.none() | st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "timeout", "classification", "x"]),
    st.booleans() | _sizes,
    max_size=2,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _text,
    lambda children: st.lists(children, max_size=4),
    max_leaves=8,
)
_tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["input", "age", "city", "x"]) | _json,
        "datatype": st.sampled_from([*Datatype, "FP8"]) | _json,
        "shape": st.lists(_sizes, max_size=3) | _json,
        "data": _json,
        "parameters": _parameters,
    },
)
_requests = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, max_size=3) | _json},
    optional={"id": _json, "outputs": st.lists(_tensors, max_size=2) | _json, "parameters": _parameters},
)


def _tensor(data: object = None, **changes: object) -> dict[str, object]:
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP32", "data": data or [1, 2], **changes}
    return {name: value for name, value in tensor.items() if value is not ...}


def _decode(
    document: object, signature: Signature = _FP32, raw: bytes = b"", json_size: int | None = None
) -> InferRequest:
    text = orjson.dumps(document)
    if raw or json_size is not None:
        return _CODEC.decode(text + raw, signature, len(text) if json_size is None else json_size)
    return _CODEC.decode(text, signature, None)


def _inputs(*tensors: object, **more: object) -> dict[str, object]:
    return {"inputs": list(tensors), **more}


def _raw(size: object, **changes: object) -> dict[str, object]:
    return _tensor(**{"data": ..., "parameters": {"binary_data_size": size}, **changes})


def _text_spec_tensor(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("tensor", "signature", "values"),
    [
        (_tensor(), _FP32, [[1, 2]]),
        (_tensor([[1, 2]]), _FP32, [[1, 2]]),
        (_tensor([1, 2, 3, 4], shape=[2, 2]), _FP32, [[1, 2], [3, 4]]),
        (_tensor([[[1, 2], [3, 4]]], shape=[1, 2, 2], datatype="INT64"), _GRID, [[[1, 2], [3, 4]]]),
        (_tensor([1, 2, 3, 4], shape=[1, 2, 2], datatype="INT64"), _GRID, [[[1, 2], [3, 4]]]),
        (_tensor(parameters={"content_type": "np"}), _FP32, [[1, 2]]),
    ],
)
def test_json_inputs(tensor: object, signature: Signature, values: object) -> None:
    request = _decode(_inputs(tensor), signature)
    assert request.inputs["input"].tolist() == values
    assert request == InferRequest(request.inputs)


def test_options() -> None:
    request = _decode(
        _inputs(
            _tensor(),
            id="a-1",
            parameters={"timeout": 1_500_000, "binary_data_output": True, "priority": 3},
            outputs=[{"name": "output", "parameters": {"binary_data": False}}],
        )
    )
    assert (request.id, request.timeout, request.binary) == ("a-1", 1.5, True)
    assert request.outputs == (OutputRequest("output", binary=False),)
    request = _decode(_inputs(_tensor(), parameters={"timeout": 0}, outputs=[]))
    assert request == InferRequest(request.inputs)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], 'body: expected an object with "inputs", got a list of 0'),
        ({}, "inputs: expected a list of tensors, got null"),
        (_inputs(), "inputs: missing 'input'"),
        (_inputs(1), "inputs[0]: expected an object, got 1"),
        (_inputs(_tensor(name=1)), "inputs[0].name: expected a string, got 1"),
        (_inputs(_tensor(name="x")), "no input 'x' here; this model takes 'input'"),
        (_inputs(_tensor(), _tensor()), "input 'input': given more than once"),
        (_inputs(_tensor(datatype="FP64")), "input 'input': expected datatype FP32, got \"FP64\""),
        (_inputs(_tensor(datatype=...)), "input 'input': expected datatype FP32, got null"),
        (_inputs(_tensor(shape=...)), "input 'input': shape: expected a list of integers, got null"),
        (_inputs(_tensor(shape=[1, 2.0])), "input 'input': shape: expected a list of integers, got a list of 2"),
        (_inputs(_tensor(shape=[True, 2])), "input 'input': shape: expected a list of integers, got a list of 2"),
        (_inputs(_tensor(shape=[2])), "input 'input': expected shape [any, 2], got [2]"),
        (_inputs(_tensor(shape=[2, 1])), "input 'input': expected shape [any, 2], got [2, 1]"),
        (_inputs(_tensor(shape=[0, 2])), "input 'input': expected shape [any, 2], none of them 0, got [0, 2]"),
        (_inputs(_tensor(shape=[-1, 2])), "input 'input': expected shape [any, 2], none of them 0, got [-1, 2]"),
        (_inputs(_tensor(shape=[2, 2])), "input 'input': shape [2, 2] has 4 elements, data has 2"),
        (
            _inputs(_tensor(shape=[2**63, 2])),
            f"input 'input': shape [{2**63}, 2] has {2**64} elements, data has 2",
        ),
        (_inputs(_tensor(data=...)), "input 'input': data: expected a list, got null"),
        (_inputs(_tensor("ab")), "input 'input': data: expected a list, got \"ab\""),
        (_inputs(_tensor([1, True])), "input 'input': data[1]: expected a number, got true"),
        (_inputs(_tensor([[1, "a"]])), "input 'input': data[0][1]: expected a number, got \"a\""),
        (_inputs(_tensor([1, [2]])), "input 'input': data[1]: expected a number, got a list of 1"),
        (_inputs(_tensor([1, 1e39])), "input 'input': data[1]: 1e+39 does not fit FP32"),
        (_inputs(_tensor([[1, 2], [3, 4]])), "input 'input': data: expected 1 list, got 2"),
        (_inputs(_tensor([[1, 2], [3]], shape=[2, 2])), "input 'input': data[1]: expected 2 numbers, got 1"),
        (_inputs(_tensor(parameters=[])), "input 'input': parameters: expected an object, got a list of 0"),
        (_inputs(_raw(8)), "input 'input': binary_data_size: needs the header Inference-Header-Content-Length"),
        (
            _inputs(_tensor(data=..., parameters={"shared_memory_region": "r"})),
            "input 'input': this server does not have the extension 'shared_memory_region'",
        ),
        (_inputs(_tensor(), id=1), "id: expected a string, got 1"),
        (_inputs(_tensor(), parameters=1), "body: parameters: expected an object, got 1"),
        (
            _inputs(_tensor(), parameters={"binary_data_output": 1}),
            "body: parameters.binary_data_output: expected true or false, got 1",
        ),
        (
            _inputs(_tensor(), parameters={"timeout": 1.5}),
            "parameters.timeout: expected microseconds, an integer, got '1.5'",
        ),
        (
            _inputs(_tensor(), parameters={"timeout": -1}),
            "parameters.timeout: expected microseconds, an integer, got '-1'",
        ),
        (_inputs(_tensor(), outputs={}), "outputs: expected a list, got an object"),
        (_inputs(_tensor(), outputs=[1]), 'outputs[0]: expected an object with "name", got 1'),
        (_inputs(_tensor(), outputs=[{"name": "x"}]), "no output 'x' here; this model gives 'output'"),
        (_inputs(_tensor(), outputs=[{"name": "output"}] * 2), "output 'output': asked for more than once"),
        (
            _inputs(_tensor(), outputs=[{"name": "output", "parameters": {"classification": 2}}]),
            "output 'output': this server does not have the extension 'classification'",
        ),
        (
            _inputs(_tensor(), outputs=[{"name": "output", "parameters": {"binary_data": "yes"}}]),
            "output 'output': parameters.binary_data: expected true or false, got \"yes\"",
        ),
    ],
)
def test_wrong_requests_are_explained(document: object, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        _decode(document)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("tensor", "raw", "json_size", "message"),
    [
        (_raw(8), b"\0" * 8, 10**6, "Inference-Header-Content-Length: says 1000000 bytes of JSON, the body has 1"),
        (_raw(8), b"\0" * 8, -1, "Inference-Header-Content-Length: says -1 bytes of JSON, the body has 1"),
        (_raw(8), b"\0" * 8, 9, "body: not JSON"),
        (_raw(9), b"\0" * 8, None, "input 'input': binary_data_size: says 9 bytes, the body has 8 left"),
        (_raw(4), b"\0" * 8, None, "input 'input': shape [1, 2] of FP32 has 8 bytes, got 4"),
        (_raw(-1), b"\0" * 8, None, "input 'input': binary_data_size: expected a number of bytes, got -1"),
        (_raw("8"), b"\0" * 8, None, "input 'input': binary_data_size: expected a number of bytes, got \"8\""),
        (_raw(8), b"\0" * 9, None, "body: 1 byte after the inputs' last"),
        (_tensor(), b"\0" * 8, None, "body: 8 bytes after the inputs' last"),
        (_raw(8, data=[1]), b"\0" * 8, None, "input 'input': binary_data_size: expected either this or \"data\""),
        (_raw(8, shape=[2**62, 2]), b"\0" * 8, None, f"input 'input': shape [{2**62}, 2] of FP32 has {2**65} bytes"),
    ],
)
def test_lying_sizes_are_explained(tensor: object, raw: bytes, json_size: int | None, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        _decode(_inputs(tensor), raw=raw, json_size=json_size)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "expected 2 elements, found 0 in 0 of 0 bytes"),
        (_text_spec_tensor(b"a"), "expected 2 elements, found 1 in 5 of 5 bytes"),
        (_text_spec_tensor(b"a", b"b", b"c"), "expected 2 elements, found 2 in 10 of 15 bytes"),
        (_text_spec_tensor(b"a", b"b")[:-1], "element 1 ends beyond the input's 9 bytes"),
        (_text_spec_tensor(b"a") + b"\1", "element 1 ends beyond the input's 6 bytes"),
        (b"\xff" * 8, "element 0 ends beyond the input's 8 bytes"),
        (_text_spec_tensor(b"a", b"\xff"), "element 1: not UTF-8, and models take only text"),
    ],
)
def test_wrong_raw_texts_are_explained(raw: bytes, message: str) -> None:
    signature = Signature((spec(Datatype.BYTES, None),), ())
    tensor = _raw(len(raw), shape=[2], datatype="BYTES")
    with pytest.raises(InvalidRequestError) as raised:
        _decode(_inputs(tensor), signature, raw, None if raw else len(orjson.dumps(_inputs(tensor))))
    assert str(raised.value) == f"input 'input': {message}"


def test_raw_booleans_are_0_and_1() -> None:
    signature = Signature((spec(Datatype.BOOL, None),), ())
    tensor = _raw(2, shape=[2], datatype="BOOL")
    assert _decode(_inputs(tensor), signature, b"\0\1").inputs["input"].tolist() == [False, True]
    with pytest.raises(InvalidRequestError, match="expected bytes 0 and 1 for BOOL"):
        _decode(_inputs(tensor), signature, b"\0\2")


def test_raw_and_json_inputs_may_be_mixed() -> None:
    age = _raw(2, name="age", shape=[2], datatype="INT8")
    city = _raw(11, name="city", shape=[2, 1], datatype="BYTES")
    raw = _text_spec_tensor(b"a", "ü".encode())
    inputs = _decode(_inputs(city, age), _PERSON, raw + b"\1\xff").inputs
    assert (inputs["age"].tolist(), inputs["city"].tolist()) == ([1, -1], [["a"], ["ü"]])
    inputs = _decode(
        _inputs(_tensor(["x", "y"], name="city", shape=[2, 1], datatype="BYTES"), age), _PERSON, b"\1\2"
    ).inputs
    assert (inputs["age"].tolist(), inputs["city"].tolist()) == ([1, 2], [["x"], ["y"]])


@pytest.mark.parametrize("padding", range(4))
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_raw_inputs_are_aligned_views(padding: int, form: Any) -> None:
    text = orjson.dumps(_inputs(_raw(8)))
    text += b" " * (-len(text) % 4 + padding)
    body = form(text + struct.pack("<2f", 0.5, -0.5))
    array = _CODEC.decode(body, _FP32, len(text)).inputs["input"]
    assert array.tolist() == [[0.5, -0.5]]
    assert array.flags.aligned
    if array.base is not None:
        assert np.shares_memory(array, np.frombuffer(body, dtype=np.uint8))


def _answer(request: InferRequest, signature: Signature, *arrays: Tensor) -> tuple[dict[str, Any], bytes]:
    """The response's JSON and its raw bytes."""
    outputs = {each.name: array for each, array in zip(signature.outputs, arrays, strict=True)}
    encoded = _CODEC.encode(outputs, request, serving(signature))
    if encoded.json_size is None:
        assert encoded.content_type == b"application/json"
        return orjson.loads(encoded.body), b""
    assert encoded.content_type == b"application/octet-stream"
    return orjson.loads(encoded.body[: encoded.json_size]), encoded.body[encoded.json_size :]


def test_json_response() -> None:
    array = np.array([[0.1, np.nan]], dtype=np.float32)
    encoded = _CODEC.encode({"output": array}, InferRequest({}, id="a"), serving(_FP32))
    assert encoded.body == (
        b'{"model_name":"demo","model_version":"7","outputs":[{"name":"output","datatype":"FP32","shape":[1,2],'
        b'"data":[0.1,null]}],"id":"a"}'
    )


def test_outputs_come_as_asked_for() -> None:
    age, city = np.array([1, 2], dtype=np.int8), np.array([["a"], [b"\xff"]], dtype=np.object_)
    asked = (OutputRequest("city_out", binary=True), OutputRequest("age_out"))
    document, raw = _answer(InferRequest({}, outputs=asked), _PERSON, age, city)
    assert document["outputs"] == [
        {"name": "city_out", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": 10}},
        {"name": "age_out", "datatype": "INT8", "shape": [2], "data": [1, 2]},
    ]
    assert raw == _text_spec_tensor(b"a", b"\xff")
    document, raw = _answer(InferRequest({}, outputs=asked[1:], binary=True), _PERSON, age, city)
    assert document["outputs"] == [
        {"name": "age_out", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}}
    ]
    assert raw == b"\1\2"
    with pytest.raises(
        InvalidRequestError, match=r"'city_out': has bytes that are no UTF-8 text; ask for it as binary"
    ):
        _answer(InferRequest({}), _PERSON, age, city)


def test_views_of_a_batch_are_written() -> None:
    view = np.arange(8, dtype=np.float32).reshape(2, 4)[:, 1:3]
    document, _ = _answer(InferRequest({}), _FP32, view)
    assert document["outputs"][0]["data"] == [1, 2, 5, 6]
    _, raw = _answer(InferRequest({}, binary=True), _FP32, view)
    assert raw == struct.pack("<4f", 1, 2, 5, 6)


@st.composite
def _arrays(draw: st.DrawFn) -> tuple[Datatype, Tensor]:
    datatype = draw(st.sampled_from(Datatype))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=4))
    if datatype is Datatype.BYTES:
        return datatype, draw(npst.arrays(np.object_, shape, elements=_text))
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.value.startswith("FP") else {}
    elements = npst.from_dtype(datatype.dtype, **cast("Any", finite))
    return datatype, draw(npst.arrays(datatype.dtype, shape, elements=elements))


@given(_arrays(), st.booleans(), st.booleans())
def test_every_tensor_survives_the_round_trip(made: tuple[Datatype, Tensor], nested: bool, binary: bool) -> None:
    datatype, array = made
    each = spec(datatype, *(None for _ in array.shape))
    signature = Signature((each,), (each,))
    document, raw = _answer(InferRequest({}, binary=binary), signature, array)
    (tensor,) = document["outputs"]
    if nested and not binary and array.ndim:
        tensor["data"] = orjson.loads(orjson.dumps(array.tolist()))
    again = _decode(_inputs(tensor), signature, raw).inputs["input"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


@given(document=_requests, raw=st.binary(max_size=40), lie=st.none() | st.integers(-5, 300))
def test_any_request_is_decoded_or_explained(document: object, raw: bytes, lie: int | None) -> None:
    text = json.dumps(document).encode()
    for signature in (_FP32, _PERSON, _GRID):
        for json_size in (None, len(text), lie):
            try:
                request = _CODEC.decode(text + raw, signature, json_size)
            except InvalidRequestError:
                continue
            assert set(request.inputs) == {each.name for each in signature.inputs}


@given(st.binary(), st.none() | st.integers(-5, 300))
def test_any_bytes_are_explained(body: bytes, json_size: int | None) -> None:
    with pytest.raises(InvalidRequestError):
        _CODEC.decode(body, _FP32, json_size)


@given(st.binary(max_size=60), st.sampled_from(Datatype), st.lists(_sizes, max_size=3))
def test_any_raw_bytes_are_a_tensor_or_explained(raw: bytes, datatype: Datatype, shape: list[int | None]) -> None:
    signature = Signature((spec(datatype, *(None for _ in shape)),), ())
    document = orjson.dumps(_inputs(_raw(len(raw), shape=shape, datatype=datatype)))
    try:
        array = _CODEC.decode(document + raw, signature, len(document)).inputs["input"]
    except InvalidRequestError:
        return
    assert (list(array.shape), array.dtype) == (shape, datatype.dtype)


def test_metadata() -> None:
    labelled = spec(Datatype.FP32, None, 2, name="p", labels=("cat", "dog"))
    served = serving(Signature(_PERSON.inputs, (labelled,)))
    assert model_metadata(served, ["6", "7"]) == {
        "name": "demo",
        "versions": ["6", "7"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "age", "datatype": "INT8", "shape": [-1]},
            {"name": "city", "datatype": "BYTES", "shape": [-1, 1]},
        ],
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [-1, 2], "parameters": {"labels": ["cat", "dog"]}},
        ],
    }
    assert server_metadata("s", "1")["extensions"] == ["binary_tensor_data", "model_repository"]


def test_repository_index() -> None:
    ready, loading = ModelSlot("demo"), ModelSlot("other")
    ready.add(serving(_FP32, "6"))
    ready.switch(serving(_FP32, "7"))
    entries = [
        {"name": "demo", "version": "6", "state": "READY", "reason": ""},
        {"name": "demo", "version": "7", "state": "READY", "reason": ""},
    ]
    waiting = {"name": "other", "version": "", "state": "UNAVAILABLE", "reason": "no model is loaded yet"}
    assert repository_index([ready, loading]) == [*entries, waiting]
    assert repository_index([ready, loading], ready_only=True) == entries
    ready.withdraw()
    assert repository_index([ready]) == [
        {"name": "demo", "version": "", "state": "UNAVAILABLE", "reason": "it was unloaded"}
    ]
