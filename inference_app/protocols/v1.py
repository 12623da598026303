"""The V1 protocol of TensorFlow Serving and KServe.

Source: TensorFlow Serving, "RESTful API", "Predict API" (row and column format, binary values); KServe, "V1 Protocol".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from inference_app.errors import InvalidRequestError
from inference_app.model import InferRequest, ServedModel, Signature, Tensor, Tensors, TensorSpec
from inference_app.protocols.codec import Body, Encoded, describe, json_object
from inference_app.protocols.elements import may_hold_booleans
from inference_app.protocols.rows import to_tensor
from inference_app.protocols.values import NATIVE, to_json, write

_SIGNATURE = "serving_default"  # the name that TensorFlow Serving gives to a model's only signature


@dataclass(slots=True)
class ColumnRequest(InferRequest):
    """A request in column format, to be answered in column format."""


class V1Codec:
    """`{"instances": [row, ...]}` to `{"predictions": [row, ...]}`, or `{"inputs": columns}` to `{"outputs": columns}`.

    A model of one input takes the values themselves, one of several takes objects by input name: of each row in row
    format, of all rows at once in column format. Outputs are written in the same way. NaN and Infinity, which JSON does
    not have, are written as null.
    """

    def decode(self, body: Body, signature: Signature, json_size: int | None) -> InferRequest:  # noqa: ARG002 - V2's
        """Read `instances` or `inputs`; see `Codec.decode`."""
        document = json_object(body, '"instances"')
        if len(document) > 1 and document.get("signature_name", _SIGNATURE) != _SIGNATURE:
            raise InvalidRequestError(
                f'signature_name: this model has only "{_SIGNATURE}", got {describe(document["signature_name"])}'
            )
        booleans = may_hold_booleans(body)
        if "instances" in document:
            if "inputs" in document:
                raise InvalidRequestError('body: expected either "instances" or "inputs", got both')
            return InferRequest(_from_rows(document["instances"], signature.inputs, booleans=booleans))
        if "inputs" in document:
            return ColumnRequest(_from_columns(document["inputs"], signature.inputs, booleans=booleans))
        raise InvalidRequestError('body: expected an object with "instances", which is missing')

    def encode(self, outputs: Tensors, request: InferRequest, served: ServedModel) -> Encoded:
        """Write `predictions` or `outputs`; V1 carries the model's version in headers.

        Raises:
            InvalidRequestError: of several outputs one is not a value for each row, which row format cannot say.
        """
        specs = served.model.signature.outputs
        if isinstance(request, ColumnRequest):
            columns = {spec.name: to_json(outputs[spec.name], spec) for spec in specs}
            return Encoded(write({"outputs": columns[specs[0].name] if len(specs) == 1 else columns}))
        if len(specs) == 1:
            return Encoded(write({"predictions": to_json(outputs[specs[0].name], specs[0])}))
        return Encoded(write({"predictions": _to_rows(outputs, specs)}))


def _from_rows(rows: object, specs: Sequence[TensorSpec], *, booleans: bool) -> dict[str, Tensor]:
    if len(specs) == 1 and not _names_its_input(rows, specs[0]):
        return {specs[0].name: to_tensor(rows, specs[0], "instances", booleans=booleans)}
    if not isinstance(rows, list) or not rows:
        found = describe(cast("object", rows))
        raise InvalidRequestError(f"instances: expected a list of at least one object by input name, got {found}")
    objects = [_members(row, specs, f"instances[{index}]") for index, row in enumerate(cast("list[object]", rows))]
    return {
        spec.name: to_tensor([row[spec.name] for row in objects], spec, "instances", f".{spec.name}", booleans=booleans)
        for spec in specs
    }


def _names_its_input(rows: object, spec: TensorSpec) -> bool:
    first = cast("list[object]", rows)[0] if isinstance(rows, list) and rows else None
    return isinstance(first, dict) and spec.name in first


def _from_columns(columns: object, specs: Sequence[TensorSpec], *, booleans: bool) -> dict[str, Tensor]:
    if len(specs) == 1 and not isinstance(columns, dict):
        return {specs[0].name: to_tensor(columns, specs[0], "inputs", booleans=booleans)}
    members = _members(cast("object", columns), specs, "inputs")
    return {spec.name: to_tensor(members[spec.name], spec, f"inputs.{spec.name}", booleans=booleans) for spec in specs}


def _members(value: object, specs: Sequence[TensorSpec], where: str) -> dict[str, Any]:
    """An object that has a value for every input, and nothing else.

    Raises:
        InvalidRequestError: it is not.
    """
    names = ", ".join(spec.name for spec in specs)
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{where}: expected an object by input name ({names}), got {describe(value)}")
    members = cast("dict[str, Any]", value)
    for spec in specs:
        if spec.name not in members:
            raise InvalidRequestError(f"{where}: input {spec.name!r} is missing")
    if len(members) != len(specs):
        unknown = next(name for name in members if all(name != spec.name for spec in specs))
        raise InvalidRequestError(f"{where}: no input {unknown[:128]!r} here; this model takes {names}")
    return members


def _to_rows(outputs: Tensors, specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    arrays = [outputs[spec.name] for spec in specs]
    if all(map(_is_one_row, arrays, specs)):  # of most requests; the general way costs them several times as much
        return [{spec.name: array[0] for spec, array in zip(specs, arrays, strict=True)}]
    if len({array.shape[:1] for array in arrays}) != 1 or not all(array.ndim for array in arrays):
        raise InvalidRequestError(
            'this model\'s outputs are not one value for each row; ask in column format ("inputs") instead'
        )
    columns = [to_json(array, spec) for array, spec in zip(arrays, specs, strict=True)]
    return [dict(zip((spec.name for spec in specs), row, strict=True)) for row in zip(*columns, strict=True)]


def _is_one_row(array: Tensor, spec: TensorSpec) -> bool:
    """Whether this is an array of one row which the JSON writer takes as it is."""
    return len(array.shape) <= 2 and array.shape[:1] == (1,) and array.dtype.kind in NATIVE and not spec.labels
