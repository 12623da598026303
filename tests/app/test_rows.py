"""Rows of JSON to arrays: right ones exactly, wrong ones with a message that says where and why."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, TensorSpec
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
_FLAGS = TensorSpec("input", Datatype.BOOL, (None, 2))
_FP16 = TensorSpec("input", Datatype.FP16, (None,))
_SCALAR = TensorSpec("input", Datatype.FP32, ())

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_text, children, max_size=3),
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
        (_TEXT, [["a"], [1]], "instances[1][0]: expected a string, got 1"),
        (_TEXT, ["a"], 'instances[0]: expected a list of 1 string, got "a"'),
        (_TEXT, [[{"b64": "a"}]], "instances[0][0].b64: not Base64"),
        (_TEXT, [[{"b64": "/w=="}]], "instances[0][0].b64: not UTF-8, and models take only text"),
        (_TEXT, [[{"b64": 1}]], 'instances[0][0]: expected a string or {"b64": "..."}, got an object'),
        (_FLAGS, [[True, 1]], "instances[0][1]: expected a boolean, got 1"),
        (_FLAGS, [[True]], "instances[0]: expected 2 booleans, got 1"),
        (_FP16, [1, 65520], "instances[1]: 65520 does not fit FP16"),
        (_FP16, [2**64 - 1], "instances[0]: 18446744073709551615 does not fit FP16"),
        (_SCALAR, [1], "instances: rows do not fit this model's input input: FP32[], which has no dimensions"),
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
        (_TEXT, [["a"], [""], ["ü\0"]]),
        (_FLAGS, [[True, False]]),
        (_FP16, [65504, -0.5, 6e-8]),
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


@given(value=_json, spec=st.sampled_from([_FP32, _IMAGE, _INT8, _FLEXIBLE, _PAIR, _SCALARS, _UINT64, _TEXT, _FLAGS]))
def test_any_json_is_a_tensor_or_a_message(value: object, spec: TensorSpec) -> None:
    try:
        tensor = to_tensor(orjson.loads(orjson.dumps(value)), spec, "instances")
    except InvalidRequestError as error:
        assert str(error).startswith("instances")  # noqa: PT017 - either outcome is right
    else:
        assert tensor.dtype == spec.datatype.dtype
        assert tensor.ndim == len(spec.shape)


def test_base64_is_text() -> None:
    assert to_tensor([["a"], [{"b64": "w7w="}]], _TEXT, "instances").tolist() == [["a"], ["ü"]]


def test_booleans_are_looked_for_unless_there_are_none() -> None:
    assert to_tensor([[1, 2, 3]], _FP32, "instances", booleans=False).tolist() == [[1, 2, 3]]
    with pytest.raises(InvalidRequestError, match=r"^instances\[0\].age\[1\]: expected a number, got true$"):
        to_tensor([[1, True, 3]], _FP32, "instances", ".age")
