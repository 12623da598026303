"""What all forms of V2 (JSON, binary, gRPC) check of a request's tensors, with one wording; and raw bytes to arrays.

Source: Open Inference Protocol, "Inference Request JSON Object" and `ModelInferRequest.raw_input_contents`; for raw
bytes of BYTES and BOOL see Triton Inference Server, "Binary Tensor Data Extension". Raw elements are little-endian, as
is every machine that this server is built for.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import cast

import numpy as np

from inference_app.errors import InvalidRequestError
from inference_app.model import Datatype, OutputRequest, Signature, Tensor, TensorSpec
from inference_app.protocols.codec import describe

_LENGTH = 4  # bytes before each BYTES element, which say how many it has
_MICROSECONDS = 1_000_000  # in a second
# Triton's extensions whose answers have another form; an ordinary one would be taken for it.
_REFUSED = ("classification", "shared_memory_region")


def find_input(signature: Signature, name: str, place: int) -> TensorSpec:
    """The input of this name, which in most requests has the same place as in the signature.

    Raises:
        InvalidRequestError: the model has none of this name.
    """
    specs = signature.inputs
    if place < len(specs) and specs[place].name == name:
        return specs[place]
    for spec in specs:
        if spec.name == name:
            return spec
    raise InvalidRequestError(f"no input {name[:128]!r} here; this model takes {_names(specs)}")


def check_input(spec: TensorSpec, datatype: object, shape: Sequence[int]) -> int:
    """How many elements an input has, which the request says to be of this datatype and shape.

    Raises:
        InvalidRequestError: it is not what the model takes, or a dimension has no places.
    """
    if datatype != spec.datatype:
        raise InvalidRequestError(f"input {spec.name!r}: expected datatype {spec.datatype}, got {describe(datatype)}")
    wanted = spec.shape
    if len(shape) != len(wanted):
        raise _wrong_shape(spec, shape)
    elements = 1
    for size, expected in zip(shape, wanted, strict=True):
        if size < 1 or (expected is not None and size != expected):
            raise _wrong_shape(spec, shape)
        elements *= size
    return elements


def require_all(inputs: dict[str, Tensor], signature: Signature) -> None:
    """Refuse a request that lacks an input; there must be none that the model does not have.

    Raises:
        InvalidRequestError: naming what is missing.
    """
    if len(inputs) != len(signature.inputs):
        missing = ", ".join(repr(spec.name) for spec in signature.inputs if spec.name not in inputs)
        raise InvalidRequestError(f"inputs: missing {missing}")


def repeated(name: str) -> InvalidRequestError:
    """The error for an input that comes twice."""
    return InvalidRequestError(f"input {name[:128]!r}: given more than once")


def wrong_count(
    spec: TensorSpec, shape: Sequence[int], elements: int, got: int, field: str = "data"
) -> InvalidRequestError:
    """The error for an input that has more or fewer elements than its shape."""
    return InvalidRequestError(f"input {spec.name!r}: shape {list(shape)} has {elements} elements, {field} has {got}")


def check_output(signature: Signature, name: str, earlier: Sequence[OutputRequest]) -> None:
    """Refuse to give an output that the model does not have, or one twice.

    Raises:
        InvalidRequestError: the model has none of this name, or it is among the earlier ones.
    """
    for output in earlier:
        if output.name == name:
            raise InvalidRequestError(f"output {name!r}: asked for more than once")
    for spec in signature.outputs:
        if spec.name == name:
            return
    raise InvalidRequestError(f"no output {name[:128]!r} here; this model gives {_names(signature.outputs)}")


def refuse_extensions(parameters: Mapping[str, object], where: str) -> None:
    """Refuse what this server does not have and cannot leave out.

    Raises:
        InvalidRequestError: one of them asks for it.
    """
    for name in _REFUSED:
        if name in parameters:
            raise InvalidRequestError(f"{where}: this server does not have the extension {name!r}")


def seconds(timeout: object) -> float | None:
    """The request parameter `timeout`: microseconds, 0 for none (Triton Inference Server, "Schedule Policy Extension").

    Raises:
        InvalidRequestError: it is not a whole number of microseconds.
    """
    if type(timeout) is not int or timeout < 0:
        raise InvalidRequestError(f"parameters.timeout: expected microseconds, an integer, got {str(timeout)[:40]!r}")
    return timeout / _MICROSECONDS if timeout else None


def from_raw(spec: TensorSpec, shape: Sequence[int], elements: int, raw: bytes | memoryview) -> Tensor:
    """An array from raw bytes: a view of them where they lie as the processor wants it.

    NaN and Infinity are numbers here.

    Args:
        spec: The input.
        shape: The array's, checked by `check_input`.
        elements: What `check_input` returned.
        raw: The bytes, of the elements and nothing else.

    Raises:
        InvalidRequestError: too many or too few bytes, or not such elements.
    """
    datatype = spec.datatype
    if datatype is Datatype.BYTES:
        return _texts(spec, elements, memoryview(raw)).reshape(shape)
    dtype = datatype.dtype
    needed = elements * dtype.itemsize
    if len(raw) != needed:
        raise InvalidRequestError(
            f"input {spec.name!r}: shape {list(shape)} of {datatype} has {needed} bytes, got {len(raw)}"
        )
    array: Tensor = np.ndarray(shape, dtype, raw)
    if datatype is Datatype.BOOL and array.view(np.uint8).max() > 1:
        raise InvalidRequestError(f"input {spec.name!r}: expected bytes 0 and 1 for BOOL")
    # Vector instructions may fault on numbers that begin anywhere.
    return array if array.flags.aligned else array.copy()


def to_raw(array: Tensor) -> bytes | memoryview:
    """An array's elements as raw bytes; a view of them where that can be."""
    if array.dtype.kind == "O":
        return _prefixed(array)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def to_text(raw: bytes | memoryview, where: str) -> str:
    """One BYTES element as models take it.

    Raises:
        InvalidRequestError: it is not UTF-8.
    """
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{where}: not UTF-8, and models take only text") from None


def to_bytes(element: str | bytes) -> bytes:
    """One BYTES element as the protocols carry it."""
    return element if isinstance(element, bytes) else element.encode()


def _texts(spec: TensorSpec, elements: int, raw: memoryview) -> Tensor:
    # Counted first, so that a shape cannot ask for more memory than its request has bytes.
    texts: list[str] = []
    start = 0
    while start < len(raw) and len(texts) < elements:
        length = int.from_bytes(raw[start : start + _LENGTH], "little")
        start += _LENGTH
        if start + length > len(raw):
            raise InvalidRequestError(
                f"input {spec.name!r}: element {len(texts)} ends beyond the input's {len(raw)} bytes"
            )
        texts.append(to_text(raw[start : start + length], f"input {spec.name!r}: element {len(texts)}"))
        start += length
    if len(texts) != elements or start != len(raw):
        raise InvalidRequestError(
            f"input {spec.name!r}: expected {elements} elements, found {len(texts)} in {start} of {len(raw)} bytes"
        )
    array = np.empty(elements, dtype=np.object_)
    array[:] = texts
    return array


def _prefixed(array: Tensor) -> bytes:
    parts: list[bytes] = []
    for element in cast("list[str | bytes]", array.ravel().tolist()):
        content = to_bytes(element)
        parts += (len(content).to_bytes(_LENGTH, "little"), content)
    return b"".join(parts)


def _wrong_shape(spec: TensorSpec, shape: Sequence[int]) -> InvalidRequestError:
    expected = ", ".join("any" if size is None else str(size) for size in spec.shape)
    if prod(shape) < 1 and len(shape) == len(spec.shape):
        return InvalidRequestError(
            f"input {spec.name!r}: expected shape [{expected}], none of them 0, got {list(shape)}"
        )
    return InvalidRequestError(f"input {spec.name!r}: expected shape [{expected}], got {list(shape)[:9]}")


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(repr(spec.name) for spec in specs)
