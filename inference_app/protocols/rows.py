"""Rows of JSON, as V1 and the plain protocol have them, to one array."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any, cast

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, Tensor, TensorSpec
from inference_app.protocols.codec import describe
from inference_app.protocols.elements import noun, to_array, wrong_element
from inference_app.protocols.nested import Place, count, flatten, indices, wrong_list


def to_tensor(rows: object, spec: TensorSpec, field: str, member: str = "", *, booleans: bool = True) -> Tensor:
    """Rows as one array.

    A string of a BYTES input may also be written `{"b64": "..."}`, in Base64 (RFC 4648, section 4; TensorFlow Serving,
    "RESTful API", "Encoding binary values").

    Args:
        rows: A parsed JSON value: a list of rows, each nested as deep as the tensor has dimensions after the first.
        spec: What the model takes.
        field: The rows' name in the request, for messages.
        member: What leads from a row to its value where rows are objects, for messages: `.age`.
        booleans: Whether there may be booleans among the values, see `elements.may_hold_booleans`.

    Returns:
        A read-only array of the tensor's datatype, shape `(rows, *spec.shape[1:])`.

    Raises:
        InvalidRequestError: naming the first place that is wrong, what was expected there and what was found.
    """
    datatype, sizes = spec.datatype, spec.shape
    if not sizes:
        raise InvalidRequestError(f"{field}: rows do not fit this model's input {spec}, which has no dimensions")
    if not isinstance(rows, list) or not rows:
        raise InvalidRequestError(f"{field}: expected a list of at least one row, got {describe(cast('object', rows))}")
    level = cast("list[Any]", rows)
    if (exactly := sizes[0]) is not None and len(level) != exactly:
        raise InvalidRequestError(f"{field}: this model takes exactly {count(exactly, 'row')}, got {len(level)}")
    found = flatten(level, sizes[1:])
    if found is None:
        raise wrong_list(level, sizes[1:], noun(datatype), _places(field, member))
    shape, values = found
    if datatype is Datatype.BYTES:
        values = _from_base64(values, shape, _places(field, member))
    tensor = to_array(values, shape, datatype, booleans=booleans)
    if tensor is None:
        place = _places(field, member)
        raise wrong_element(values, datatype, lambda index: place(indices(index, shape)))
    return tensor


def _places(field: str, member: str) -> Place:
    """To write indices as a client would: `instances[3].age[7]`."""
    return lambda position: f"{field}[{position[0]}]{member}" + "".join(f"[{index}]" for index in position[1:])


def _from_base64(values: list[Any], shape: Sequence[int], place: Place) -> list[Any]:
    return [
        _text(cast("dict[str, object]", value), place(indices(index, shape))) if type(value) is dict else value
        for index, value in enumerate(values)
    ]


def _text(value: dict[str, object], where: str) -> str:
    content = value.get("b64")
    if len(value) != 1 or not isinstance(content, str):
        raise InvalidRequestError(f'{where}: expected a string or {{"b64": "..."}}, got {describe(value)}')
    try:
        return b64decode(content, validate=True).decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{where}.b64: not UTF-8, and models take only text") from None
    except ValueError:
        raise InvalidRequestError(f"{where}.b64: not Base64") from None
