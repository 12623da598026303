"""The V1 and the plain protocol: requests to tensors, tensors to responses."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, Signature, Tensors, TensorSpec
from inference_app.protocols import Codec, PlainCodec, V1Codec
from tests.app.support.served import serving, spec

_ROWS = Signature((spec(Datatype.FP32, None, 2),), ())
_SCALARS = Signature((spec(Datatype.INT64, None),), ())
_TEXTS = Signature((spec(Datatype.BYTES, None),), ())
_FLAGS = Signature((spec(Datatype.BOOL, None),), ())
_PERSON = Signature((spec(Datatype.FP32, None, 1, name="age"), spec(Datatype.BYTES, None, name="city")), ())

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.sampled_from(["age", "city", "input", "b64", "x"]), children, max_size=3)
    ),
    max_leaves=15,
)


def _decode(document: object, signature: Signature) -> dict[str, list[Any]]:
    request = V1Codec().decode(orjson.dumps(document), signature, None)
    for each in signature.inputs:
        assert request.inputs[each.name].dtype == each.datatype.dtype
        assert request.inputs[each.name].ndim == len(each.shape)
    return {name: array.tolist() for name, array in request.inputs.items()}


def _answer(request: object, *outputs: TensorSpec, **arrays: Any) -> bytes:
    """A response, from arrays by output name; the request is to a model of one input."""
    codec = V1Codec()
    served = serving(Signature(_SCALARS.inputs, outputs))
    return codec.encode(arrays, codec.decode(orjson.dumps(request), _SCALARS, None), served).body


@pytest.mark.parametrize(
    ("document", "signature", "inputs"),
    [
        ({"instances": [[1, 2.5]]}, _ROWS, {"input": [[1, 2.5]]}),
        ({"instances": [{"input": [1, 2.5]}]}, _ROWS, {"input": [[1, 2.5]]}),
        ({"inputs": [[1, 2], [3, 4]]}, _ROWS, {"input": [[1, 2], [3, 4]]}),
        ({"inputs": {"input": [[1, 2]]}}, _ROWS, {"input": [[1, 2]]}),
        ({"instances": [1, -2]}, _SCALARS, {"input": [1, -2]}),
        ({"instances": [True, False]}, _FLAGS, {"input": [True, False]}),
        ({"instances": ["a", {"b64": "w7w="}]}, _TEXTS, {"input": ["a", "ü"]}),
        ({"inputs": ["a", {"b64": ""}]}, _TEXTS, {"input": ["a", ""]}),
        (
            {"instances": [{"age": [1], "city": "Bonn"}, {"city": {"b64": "S8O2bG4="}, "age": [2]}]},
            _PERSON,
            {"age": [[1], [2]], "city": ["Bonn", "Köln"]},
        ),
        ({"inputs": {"city": ["Bonn"], "age": [[1]]}}, _PERSON, {"age": [[1]], "city": ["Bonn"]}),
        ({"signature_name": "serving_default", "instances": [1]}, _SCALARS, {"input": [1]}),
        ({"instances": [1], "parameters": {"whatever": True}}, _SCALARS, {"input": [1]}),
    ],
)
def test_requests(document: object, signature: Signature, inputs: dict[str, list[Any]]) -> None:
    assert _decode(document, signature) == inputs


@pytest.mark.parametrize(
    ("document", "signature", "message"),
    [
        ([], _ROWS, 'body: expected an object with "instances", got a list of 0'),
        ({}, _ROWS, 'body: expected an object with "instances", which is missing'),
        ({"instances": [[1, 2]], "inputs": []}, _ROWS, 'body: expected either "instances" or "inputs", got both'),
        (
            {"signature_name": "other", "instances": [[1, 2]]},
            _ROWS,
            'signature_name: this model has only "serving_default", got "other"',
        ),
        ({"instances": [[1, True]]}, _ROWS, "instances[0][1]: expected a number, got true"),
        ({"inputs": [[1, False]]}, _ROWS, "inputs[0][1]: expected a number, got false"),
        ({"inputs": {"input": [[1, "x"]]}}, _ROWS, 'inputs.input[0][1]: expected a number, got "x"'),
        ({"inputs": {}}, _ROWS, "inputs: input 'input' is missing"),
        ({"instances": [{"input": [1]}]}, _ROWS, "instances[0].input: expected 2 numbers, got 1"),
        ({"instances": [1, 0.5]}, _SCALARS, "instances[1]: expected an integer, got 0.5"),
        ({"instances": [0]}, _FLAGS, "instances[0]: expected a boolean, got 0"),
        (
            {"instances": [[1]]},
            _PERSON,
            "instances[0]: expected an object by input name (age, city), got a list of 1",
        ),
        (
            {"instances": []},
            _PERSON,
            "instances: expected a list of at least one object by input name, got a list of 0",
        ),
        ({"instances": [{"age": [1], "city": ""}, {"age": [1]}]}, _PERSON, "instances[1]: input 'city' is missing"),
        (
            {"instances": [{"age": [1], "city": "", "x": 1}]},
            _PERSON,
            "instances[0]: no input 'x' here; this model takes age, city",
        ),
        (
            {"instances": [{"age": [1], "city": ""}, {"age": [None], "city": ""}]},
            _PERSON,
            "instances[1].age[0]: expected a number, got null",
        ),
        ({"inputs": [1]}, _PERSON, "inputs: expected an object by input name (age, city), got a list of 1"),
    ],
)
def test_wrong_requests_are_explained(document: object, signature: Signature, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        V1Codec().decode(orjson.dumps(document), signature, None)
    assert str(raised.value) == message


@pytest.mark.parametrize("body", [b'{"instances": [true]}', b'{"instances": [false]}'])
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_booleans_are_no_numbers_in_any_body(body: bytes, form: Any) -> None:
    with pytest.raises(InvalidRequestError, match="expected an integer"):
        V1Codec().decode(form(body), _SCALARS, None)


@given(value=_json, field=st.sampled_from(["instances", "inputs", "data"]))
def test_any_json_is_decoded_or_explained(value: object, field: str) -> None:
    body = json.dumps({field: value}).encode()
    for signature in (_ROWS, _SCALARS, _TEXTS, _FLAGS, _PERSON):
        for codec in (V1Codec(), PlainCodec()):
            try:
                request = codec.decode(body, signature, None)
            except InvalidRequestError:
                continue
            assert set(request.inputs) == {each.name for each in signature.inputs}


@given(st.binary())
def test_any_bytes_are_explained(body: bytes) -> None:
    for codec in (V1Codec(), PlainCodec()):
        with pytest.raises(InvalidRequestError):
            codec.decode(body, _ROWS, None)


def test_one_output_is_bare() -> None:
    scores = spec(Datatype.FP32, None, 2, name="scores")
    array = np.array([[0.1, np.nan], [1, np.inf]], dtype=np.float32)
    assert _answer({"instances": [1]}, scores, scores=array) == b'{"predictions":[[0.1,null],[1.0,null]]}'
    assert _answer({"inputs": [1]}, scores, scores=array) == b'{"outputs":[[0.1,null],[1.0,null]]}'


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_are_written_in_their_own_precision(dtype: Any) -> None:
    number = 0.5 if dtype is np.float16 else 0.1
    first, second = spec(Datatype.FP32, None, name="a"), spec(Datatype.FP32, None, 1, name="b")
    body = _answer({"instances": [1]}, first, second, a=np.array([number], dtype), b=np.array([[number]], dtype))
    assert body == f'{{"predictions":[{{"a":{number},"b":[{number}]}}]}}'.encode()


def test_several_outputs_are_objects() -> None:
    outputs = {
        "label": np.array([1, 0], dtype=np.int64),
        "name": np.array(["a", b"b"], dtype=np.object_),
        "flag": np.array([[True], [False]]),
    }
    specs = (
        spec(Datatype.INT64, None, name="label"),
        spec(Datatype.BYTES, None, name="name"),
        spec(Datatype.BOOL, None, 1, name="flag"),
    )
    assert orjson.loads(_answer({"instances": [1]}, *specs, **outputs)) == {
        "predictions": [{"label": 1, "name": "a", "flag": [True]}, {"label": 0, "name": "b", "flag": [False]}]
    }
    assert orjson.loads(_answer({"inputs": [1]}, *specs, **outputs)) == {
        "outputs": {"label": [1, 0], "name": ["a", "b"], "flag": [[True], [False]]}
    }


def test_labels_make_objects() -> None:
    probabilities = spec(Datatype.FP32, None, 2, name="p", labels=("cat", "dog"))
    array = np.array([[0.1, 0.9]], dtype=np.float32)
    assert _answer({"instances": [1]}, probabilities, p=array) == b'{"predictions":[{"cat":0.1,"dog":0.9}]}'
    label = spec(Datatype.INT64, None, name="label")
    body = _answer({"instances": [1]}, label, probabilities, label=np.array([1]), p=array)
    assert body == b'{"predictions":[{"label":1,"p":{"cat":0.1,"dog":0.9}}]}'


def test_bytes_that_are_no_text_are_base64() -> None:
    names = spec(Datatype.BYTES, None, 1, name="names")
    array = np.array([["ü"], [b"ok"], [b"\xff"]], dtype=np.object_)
    body = _answer({"instances": [1]}, names, names=array)
    assert orjson.loads(body) == {"predictions": [["ü"], ["ok"], [{"b64": "/w=="}]]}


def test_outputs_without_rows_need_the_column_format() -> None:
    specs = (spec(Datatype.FP32, None, name="a"), spec(Datatype.FP32, name="b"))
    outputs: Tensors = {"a": np.zeros(2, np.float32), "b": np.array(1, np.float32)}
    with pytest.raises(InvalidRequestError, match="not one value for each row"):
        _answer({"instances": [1]}, *specs, **outputs)
    assert orjson.loads(_answer({"inputs": [1]}, *specs, **outputs)) == {"outputs": {"a": [0, 0], "b": 1}}


def test_views_of_a_batch_are_written() -> None:
    scores = spec(Datatype.FP32, None, 2, name="scores")
    batch = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert _answer({"instances": [1]}, scores, scores=batch[:, 1:3]) == b'{"predictions":[[1.0,2.0],[5.0,6.0]]}'


def test_plain() -> None:
    codec: Codec = PlainCodec()
    signature = Signature(_ROWS.inputs, (spec(Datatype.INT64, None, name="label"), spec(Datatype.FP32, None, name="p")))
    request = codec.decode(b'{"data": [[1, 2]]}', signature, None)
    assert request.inputs["input"].tolist() == [[1, 2]]
    outputs: Tensors = {"label": np.array([1]), "p": np.array([0.5])}
    assert codec.encode(outputs, request, serving(signature)).body == b'{"prediction":[1],"modelVersion":"7"}'
    with pytest.raises(InvalidRequestError, match=r"2 inputs \(age, city\)"):
        codec.decode(b'{"data": [[1]]}', _PERSON, None)


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), _text), min_size=1))
def test_rows_survive_the_round_trip(people: list[tuple[float, str]]) -> None:
    codec = V1Codec()
    signature = Signature(_PERSON.inputs, _PERSON.inputs)
    rows = [{"age": [age], "city": city} for age, city in people]
    request = codec.decode(orjson.dumps({"instances": rows}), signature, None)
    answer = orjson.loads(codec.encode(request.inputs, request, serving(signature)).body)["predictions"]
    assert [(np.float32(each["age"][0]), each["city"]) for each in answer] == people
