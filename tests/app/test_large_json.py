"""Large JSON of V2 means what the same JSON means when it is small: the two readers agree, errors included."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, Signature, TensorSpec
from inference_app.protocols import V2Codec, large_json

_CODEC = V2Codec()
_PADDING = " " * large_json.WORTHWHILE  # makes any text a large one


def _signature(datatype: Datatype, *sizes: int | None) -> Signature:
    return Signature(inputs=(TensorSpec("input", datatype, sizes),), outputs=())


def _text(**tensor: Any) -> str:
    return json.dumps({"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, 3], **tensor}]})


def _outcome(text: str, signature: Signature) -> Any:
    try:
        request = _CODEC.decode(text.encode(), signature, None)
    except InvalidRequestError as error:
        return str(error).split(": line")[0]  # where a text ends depends on the padding
    array = request.inputs["input"]
    return array.dtype.str, array.shape, array.tolist(), request.id, request.timeout, request.outputs


_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.lists(_numbers, min_size=3, max_size=3), st.sampled_from(["FP16", "FP32", "FP64", "INT32"]))
def test_both_readers_give_the_same_numbers(data: list[float], datatype: str) -> None:
    signature = _signature(Datatype(datatype), None)
    text = _text(data=data, datatype=datatype)
    assert _outcome(text + _PADDING, signature) == _outcome(text, signature)


@given(st.dictionaries(st.sampled_from(["data", "shape", "datatype", "name", "parameters"]), _anything))
def test_both_readers_refuse_the_same(tensor: dict[str, Any]) -> None:
    signature = _signature(Datatype.FP32, None)
    text = _text(**tensor)
    assert _outcome(text + _PADDING, signature) == _outcome(text, signature)


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, [2, 3], []]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, 3], "data": [4, 5, 6]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, 1e39]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, 1e999]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, true]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": [1, 2, NaN]}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32", "data": "[1, 2, 3]"}]}',
        '{"inputs": [{"name": "input", "shape": [3], "datatype": "FP32"}]}',
        '{"inputs": {"name": "input"}}',
        '{"inputs": [1]}',
        '{"inputs": []}',
        '[{"inputs": []}]',
        '{"id": "seven", "parameters": {"timeout": 5}, "outputs": [], "inputs": [',
    ],
)
def test_what_is_not_plain_is_read_as_ever(text: str) -> None:
    signature = _signature(Datatype.FP32, None)
    assert _outcome(text + _PADDING, signature) == _outcome(text, signature)


def test_a_large_request_is_read_without_python_objects() -> None:
    numbers = np.random.default_rng(0).standard_normal(3 * 224 * 224).astype(np.float32)
    tensor = {"name": "input", "shape": [1, 3, 224, 224], "datatype": "FP32", "data": numbers}
    text = orjson.dumps({"id": "seven", "inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert large_json.read(text) is not None
    request = _CODEC.decode(text, _signature(Datatype.FP32, None, 3, 224, 224), None)
    assert request.id == "seven"
    assert request.inputs["input"].shape == (1, 3, 224, 224)
    np.testing.assert_array_equal(request.inputs["input"].ravel(), numbers)
