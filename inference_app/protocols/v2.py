"""The V2 protocol, REST: JSON, and tensors as raw bytes after it.

Source: Open Inference Protocol, "HTTP/REST", "Inference"; for raw bytes Triton Inference Server, "Binary Tensor Data
Extension".
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from inference_app.errors import InvalidRequestError
from inference_app.model import (
    Datatype,
    InferRequest,
    OutputRequest,
    ServedModel,
    Signature,
    Tensor,
    Tensors,
    TensorSpec,
)
from inference_app.protocols import large_json, tensors
from inference_app.protocols.codec import Body, Encoded, describe, json_object
from inference_app.protocols.elements import may_hold_booleans, noun, to_array, wrong_element
from inference_app.protocols.nested import count, flatten, indices, wrong_list
from inference_app.protocols.values import write

HEADER = "Inference-Header-Content-Length"
_BINARY = b"application/octet-stream"


class V2Codec:
    """`{"inputs": [tensor, ...]}` to `{"outputs": [tensor, ...]}`.

    `data` may be flat or nested as the shape says. FP16 in JSON, which the protocol leaves open, is written as numbers.
    NaN and Infinity, which JSON does not have, are written as null. Parameters other than the binary extension's and
    `timeout` are ignored.
    """

    def decode(self, body: Body, signature: Signature, json_size: int | None) -> InferRequest:
        """Read the inputs; see `Codec.decode`."""
        text, raw_start = _split(body, json_size)
        document = large_json.read(text) if len(text) >= large_json.WORTHWHILE else None
        if document is None:
            document = json_object(text, '"inputs"')
        inputs = _inputs(document.get("inputs"), body, raw_start, signature, booleans=may_hold_booleans(text))
        request = InferRequest(inputs)
        if len(document) > 1:
            _read_options(document, signature, request)
        return request

    def encode(self, outputs: Tensors, request: InferRequest, served: ServedModel) -> Encoded:
        """Write the outputs that were asked for, in that order, else all.

        Raises:
            InvalidRequestError: an output has bytes that are no UTF-8 text, which JSON cannot carry.
        """
        written: list[dict[str, Any]] = []
        raws: list[bytes | memoryview] = []
        for spec, binary in _asked_for(served.model.signature.outputs, request):
            array = outputs[spec.name]
            output: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": array.shape}
            if binary:
                raw = tensors.to_raw(array)
                raws.append(raw)
                output["parameters"] = {"binary_data_size": len(raw)}
            else:
                output["data"] = _data(array, spec)
            written.append(output)
        document: dict[str, Any] = {"model_name": served.name, "model_version": served.version, "outputs": written}
        if request.id:
            document["id"] = request.id
        text = write(document)
        return Encoded(b"".join([text, *raws]), _BINARY, len(text)) if raws else Encoded(text)


def _split(body: Body, json_size: int | None) -> tuple[Body, int | None]:
    """The JSON, and where the raw bytes begin; None where there can be none."""
    if json_size is None:
        return body, None
    if not 0 <= json_size <= len(body):
        raise InvalidRequestError(f"{HEADER}: says {json_size} bytes of JSON, the body has {len(body)}")
    return bytes(memoryview(body)[:json_size]), json_size


def _inputs(
    items: object, body: Body, raw_start: int | None, signature: Signature, *, booleans: bool
) -> dict[str, Tensor]:
    if not isinstance(items, list):
        raise InvalidRequestError(f"inputs: expected a list of tensors, got {describe(items)}")
    inputs: dict[str, Tensor] = {}
    start = len(body) if raw_start is None else raw_start
    for place, item in enumerate(cast("list[object]", items)):
        if not isinstance(item, dict):
            raise InvalidRequestError(f"inputs[{place}]: expected an object, got {describe(item)}")
        tensor = cast("dict[str, Any]", item)
        name = tensor.get("name")
        if not isinstance(name, str):
            raise InvalidRequestError(f"inputs[{place}].name: expected a string, got {describe(name)}")
        if name in inputs:
            raise tensors.repeated(name)
        spec = tensors.find_input(signature, name, place)
        shape = _shape(tensor.get("shape"), spec)
        elements = tensors.check_input(spec, tensor.get("datatype"), shape)
        parameters = _parameters(tensor, f"input {name!r}")
        if parameters and "binary_data_size" in parameters:
            size = _raw_size(tensor, parameters["binary_data_size"], raw_start, len(body) - start, spec)
            inputs[name] = tensors.from_raw(spec, shape, elements, memoryview(body)[start : start + size])
            start += size
        else:
            inputs[name] = _from_json(tensor, spec, shape, elements, booleans=booleans)
    if start != len(body):
        raise InvalidRequestError(f"body: {count(len(body) - start, 'byte')} after the inputs' last")
    tensors.require_all(inputs, signature)
    return inputs


def _shape(shape: object, spec: TensorSpec) -> list[int]:
    if isinstance(shape, list):
        sizes = cast("list[Any]", shape)
        for size in sizes:
            if type(size) is not int:
                break
        else:
            return sizes
    raise InvalidRequestError(
        f"input {spec.name!r}: shape: expected a list of integers, got {describe(cast('object', shape))}"
    )


def _parameters(owner: dict[str, Any], where: str) -> dict[str, Any] | None:
    """Parameters of a request, an input or an output; None without."""
    parameters = owner.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise InvalidRequestError(f"{where}: parameters: expected an object, got {describe(parameters)}")
    by_name = cast("dict[str, Any]", parameters)
    tensors.refuse_extensions(by_name, where)
    return by_name


def _raw_size(tensor: dict[str, Any], size: object, raw_start: int | None, left: int, spec: TensorSpec) -> int:
    where = f"input {spec.name!r}: binary_data_size"
    if raw_start is None:
        raise InvalidRequestError(f"{where}: needs the header {HEADER}")
    if "data" in tensor:
        raise InvalidRequestError(f'{where}: expected either this or "data", got both')
    if type(size) is not int or size < 0:
        raise InvalidRequestError(f"{where}: expected a number of bytes, got {describe(size)}")
    if size > left:
        raise InvalidRequestError(f"{where}: says {size} bytes, the body has {left} left")
    return size


def _from_json(
    tensor: dict[str, Any], spec: TensorSpec, shape: Sequence[int], elements: int, *, booleans: bool
) -> Tensor:
    data = tensor.get("data")
    if isinstance(data, np.ndarray):
        array = cast("Tensor", data)
        if array.size != elements:
            raise tensors.wrong_count(spec, shape, elements, array.size)
        return array.reshape(shape)
    if not isinstance(data, list):
        raise InvalidRequestError(f"input {spec.name!r}: data: expected a list, got {describe(data)}")
    values = cast("list[Any]", data)
    found: Sequence[int] = (len(values),)
    if values and type(values[0]) is list and len(shape) > 1:
        if len(values) != shape[0]:
            items = count(shape[0], "list")
            raise InvalidRequestError(f"input {spec.name!r}: data: expected {items}, got {len(values)}")
        nested = flatten(values, shape[1:])
        if nested is None:
            raise wrong_list(values, shape[1:], noun(spec.datatype), lambda position: _place(spec, position))
        found, values = nested
    if len(values) != elements:
        raise tensors.wrong_count(spec, shape, elements, len(values))
    array = to_array(values, shape, spec.datatype, booleans=booleans)
    if array is None:
        raise wrong_element(values, spec.datatype, lambda index: _place(spec, indices(index, found)))
    return array


def _place(spec: TensorSpec, position: Sequence[int]) -> str:
    return f"input {spec.name!r}: data" + "".join(f"[{index}]" for index in position)


def _read_options(document: dict[str, Any], signature: Signature, request: InferRequest) -> None:
    identity = document.get("id", "")
    if not isinstance(identity, str):
        raise InvalidRequestError(f"id: expected a string, got {describe(identity)}")
    request.id = identity
    parameters = _parameters(document, "body")
    if parameters:
        request.binary = _flag(parameters, "binary_data_output", "body") or False
        if "timeout" in parameters:
            request.timeout = tensors.seconds(parameters["timeout"])
    outputs = document.get("outputs")
    if outputs is not None:
        request.outputs = _requested(outputs, signature)


def _requested(items: object, signature: Signature) -> tuple[OutputRequest, ...] | None:
    if not isinstance(items, list):
        raise InvalidRequestError(f"outputs: expected a list, got {describe(items)}")
    outputs: list[OutputRequest] = []
    for place, item in enumerate(cast("list[object]", items)):
        if not isinstance(item, dict) or not isinstance(name := cast("dict[str, Any]", item).get("name"), str):
            raise InvalidRequestError(
                f'outputs[{place}]: expected an object with "name", got {describe(cast("object", item))}'
            )
        tensors.check_output(signature, name, outputs)
        where = f"output {name!r}"
        parameters = _parameters(cast("dict[str, Any]", item), where)
        outputs.append(OutputRequest(name, _flag(parameters, "binary_data", where) if parameters else None))
    return tuple(outputs) or None


def _flag(parameters: dict[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequestError(f"{where}: parameters.{name}: expected true or false, got {describe(value)}")
    return value


def _asked_for(specs: Sequence[TensorSpec], request: InferRequest) -> list[tuple[TensorSpec, bool]]:
    """The outputs to write, in order, each with whether it is to come as raw bytes."""
    if request.outputs is None:
        return [(spec, request.binary) for spec in specs]
    by_name = {spec.name: spec for spec in specs}
    return [
        (by_name[output.name], request.binary if output.binary is None else output.binary) for output in request.outputs
    ]


def _data(array: Tensor, spec: TensorSpec) -> Any:
    if spec.datatype is not Datatype.BYTES:
        return array.ravel()
    try:
        return [tensors.to_bytes(element).decode() for element in array.ravel().tolist()]
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"output {spec.name!r}: has bytes that are no UTF-8 text; ask for it as binary data"
        ) from None
