"""Rows of JSON to arrays: right ones exactly, wrong ones with a message that says where and why."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_app.model import Datatype, Signature, TensorSpec
from inference_app.protocols import InvalidRequestError, PlainCodec, V1Codec
from inference_app.protocols.rows import to_tensor

_FP32 = TensorSpec("input", Datatype.FP32, (None, 3))
_IMAGE = TensorSpec("input", Datatype.FP32, (None, 2, 2))
_INT8 = TensorSpec("input", Datatype.INT8, (None, 2))
_FLEXIBLE = TensorSpec("input", Datatype.FP32, (None, None))
_PAIR = TensorSpec("input", Datatype.FP32, (2, 1))
_SCALARS = TensorSpec("input", Datatype.FP64, (None,))
_UINT64 = TensorSpec("input", Datatype.UINT64, (None,))
_EMPTY: list[object] = []
_TEXT = TensorSpec("input", Datatype.BYTES, (None, 1))

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("spec", "rows", "message"),
    [
        (_FP32, [[1, 2, 3]] * 3 + [[1, 2]], "instances[3]: expected 3 numbers, got 2"),
        (_FP32, [[1, 2, 3], [1, "abc", 3]], 'instances[1][1]: expected a number, got "abc"'),
        (_FP32, [[1, True, 3]], "instances[0][1]: expected a number, got true"),
        (_FP32, [[1, None, 3]], "instances[0][1]: expected a number, got null"),
        (_FP32, [[1, [2], 3]], "instances[0][1]: expected a number, got a list of 1"),
        (_FP32, [[1, 1e39, 3]], "instances[0][1]: 1e+39 does not fit FP32"),
        (_FP32, [[1, 2, 3], {"a": 1}], "instances[1]: expected a list of 3 numbers, got an object"),
        (_FP32, [1, 2, 3], "instances[0]: expected a list of 3 numbers, got 1"),
        (_FP32, _EMPTY, "instances: expected a list of at least one row, got a list of 0"),
        (_FP32, "x" * 99, f'instances: expected a list of at least one row, got "{"x" * 39}...'),
        (_FP32, [[[1, 2, 3]]], "instances[0]: expected 3 numbers, got 1"),
        (_IMAGE, [[[1, 2], [3, 4]], [[1, 2], [3]]], "instances[1][1]: expected 2 numbers, got 1"),
        (_IMAGE, [[[1, 2]]], "instances[0]: expected 2 lists, got 1"),
        (_IMAGE, [[[1, 2], [3, ""]]], 'instances[0][1][1]: expected a number, got ""'),
        (_INT8, [[1, 2.0]], "instances[0][1]: expected an integer, got 2.0"),
        (_INT8, [[1, 2], [-129, 5]], "instances[1][0]: -129 does not fit INT8"),
        (_UINT64, [1, -1], "instances[1]: -1 does not fit UINT64"),
        (_FLEXIBLE, [[1, 2], [1, 2, 3]], "instances[1]: expected 2 numbers, got 3"),
        (_FLEXIBLE, [_EMPTY], "instances[0]: expected 1 number, got 0"),
        (_PAIR, [[1]], "instances: this model takes exactly 2 rows, got 1"),
        (_TEXT, [["a"]], "instances: rows of numbers do not fit this model's input input: BYTES[any, 1]"),
    ],
)
def test_wrong_rows_are_named(spec: TensorSpec, rows: object, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        to_tensor(rows, spec, "instances")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        (_FP32, [[1, 2.5, -3e38]]),
        (_IMAGE, [[[1, 2], [3, 4]]] * 2),
        (_INT8, [[-128, 127]]),
        (_FLEXIBLE, [[1], [2]]),
        (_SCALARS, [1e308, 5e-324]),
        (_UINT64, [2**64 - 1, 0]),
    ],
)
def test_right_rows_arrive_exactly(spec: TensorSpec, rows: list[object]) -> None:
    tensor = to_tensor(rows, spec, "instances")
    assert tensor.dtype == spec.datatype.dtype
    np.testing.assert_array_equal(tensor, np.array(rows, dtype=spec.datatype.dtype))


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1)
)
def test_every_finite_float_survives(rows: list[list[float]]) -> None:
    tensor = to_tensor(orjson.loads(orjson.dumps(rows)), _FP32, "instances")
    np.testing.assert_array_equal(tensor, np.array(rows, dtype=np.float32))


@given(value=_json, spec=st.sampled_from([_FP32, _IMAGE, _INT8, _FLEXIBLE, _PAIR, _SCALARS, _UINT64, _TEXT]))
def test_any_json_is_a_tensor_or_a_message(value: object, spec: TensorSpec) -> None:
    signature = Signature(inputs=(spec,), outputs=())
    for codec, field in ((V1Codec(), "instances"), (PlainCodec(), "data")):
        try:
            tensor = codec.decode(json.dumps({field: value}).encode(), signature)[spec.name]
        except InvalidRequestError as error:
            assert str(error).startswith((field, "body"))  # noqa: PT017 - either outcome is right
        else:
            assert tensor.dtype == spec.datatype.dtype
            assert tensor.ndim == len(spec.shape)


@given(st.binary())
def test_any_bytes_are_json_or_a_message(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        V1Codec().decode(body, Signature(inputs=(_FP32,), outputs=()))


def test_a_model_of_several_inputs_needs_names() -> None:
    other = TensorSpec("other", Datatype.FP32, (None, 1))
    with pytest.raises(InvalidRequestError, match=r"2 inputs \(input, other\)"):
        V1Codec().decode(b'{"instances": [[1]]}', Signature(inputs=(_FP32, other), outputs=()))


def test_several_outputs_become_one_object_a_row() -> None:
    outputs = {
        "label": np.array([1, 0], dtype=np.int64),
        "name": np.array(["a", "b"], dtype=np.object_),
        "probabilities": np.array([[0.1, 0.9], [0.75, 0.25]], dtype=np.float32),
    }
    assert orjson.loads(V1Codec().encode(outputs, "7")) == {
        "predictions": [
            {"label": 1, "name": "a", "probabilities": [0.1, 0.9]},
            {"label": 0, "name": "b", "probabilities": [0.75, 0.25]},
        ]
    }
    assert orjson.loads(PlainCodec().encode(outputs, "7")) == {"prediction": [1, 0], "modelVersion": "7"}


def test_numbers_are_written_in_their_own_precision() -> None:
    for dtype in (np.float32, np.float64):
        encoded = V1Codec().encode({"output": np.array([[0.1, np.nan]], dtype=dtype)}, "7")
        assert encoded == b'{"predictions":[[0.1,null]]}'
    assert V1Codec().encode({"output": np.array([[True], [False]])}, "7") == b'{"predictions":[[true],[false]]}'


def test_outputs_of_different_lengths_cannot_be_rows() -> None:
    outputs = {"a": np.zeros(2, dtype=np.float32), "b": np.zeros(3, dtype=np.float32)}
    with pytest.raises(InvalidRequestError, match="not one value for each row"):
        V1Codec().encode(outputs, "7")
