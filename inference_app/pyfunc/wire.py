"""What server and worker say to each other: frames on a stream socket, tensors as raw bytes.

A frame is its kind (one byte), the size of its body (eight bytes) and the body. Integers are little-endian, as are the
elements; strings are preceded by their length in four bytes. Nothing that is read is ever executed: of a worker's words
only the sizes that it has sent in full are believed.
"""

import socket
import struct
import time
from collections.abc import Sequence
from enum import IntEnum
from math import prod

import numpy as np

from inference_app.model import Datatype, Signature, Tensor, Tensors, TensorSpec

_HEAD = struct.Struct("<BQ")
_COUNT = struct.Struct("<H")
_LENGTH = struct.Struct("<I")
_SIZE = struct.Struct("<q")
_SHAPE = struct.Struct("<BB")  # datatype, number of dimensions
_OPEN = -1  # a dimension that the caller chooses
_LARGEST_BODY = 2**31  # bytes; no request or answer of a server comes near
_MOST_DIMENSIONS = 32
_DATATYPES = tuple(Datatype)
_CODES = {datatype: code for code, datatype in enumerate(_DATATYPES)}
_OF_DTYPES = {datatype.dtype: datatype for datatype in Datatype}

Buffer = bytes | memoryview


class Kind(IntEnum):
    """What a frame is."""

    READY = 1
    """Worker: the model is loaded and warm; its signature."""
    RUN = 2
    """Server: compute these tensors."""
    OUTPUTS = 3
    """Worker: the tensors computed."""
    FAILED = 4
    """Worker: the model raised; a text for the log."""
    EXHAUSTED = 5
    """Worker: there was not enough memory; a text for the log."""


class WireError(Exception):
    """The other side has gone, or said what makes no sense."""


class Channel:
    """Frames to and from the other side. Used by one thread at a time.

    Args:
        connection: A connected stream socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: Kind, body: Sequence[Buffer], deadline: float | None = None) -> None:
        """Send a frame.

        Args:
            kind: What it is.
            body: Its content, in pieces.
            deadline: On the clock of `time.monotonic`; None to wait for ever.

        Raises:
            TimeoutError: the other side did not take it in time.
            WireError: the other side has gone.
        """
        try:
            for piece in (_HEAD.pack(kind, sum(map(len, body))), *body):
                self._connection.settimeout(_left(deadline))
                self._connection.sendall(piece)
        except TimeoutError:
            raise
        except OSError as error:
            raise WireError(f"sending failed: {error}") from error

    def receive(self, deadline: float | None = None) -> tuple[Kind, memoryview]:
        """The next frame's kind and body.

        Raises:
            TimeoutError: it did not come in time.
            WireError: the other side has gone, or this is no frame.
        """
        kind, size = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        if size > _LARGEST_BODY:
            raise WireError(f"a frame of {size} bytes")
        try:
            return Kind(kind), self._exactly(size, deadline)
        except ValueError as error:
            raise WireError(str(error)) from error

    def _exactly(self, size: int, deadline: float | None) -> memoryview:
        buffer = memoryview(bytearray(size))
        filled = 0
        try:
            while filled < size:
                self._connection.settimeout(_left(deadline))
                received = self._connection.recv_into(buffer[filled:])
                if not received:
                    raise WireError("the connection has ended")
                filled += received
        except TimeoutError:
            raise
        except OSError as error:
            raise WireError(f"receiving failed: {error}") from error
        return buffer


def tensors_to_wire(tensors: Tensors) -> list[Buffer]:
    """Tensors as the body of a frame; the elements are views of the arrays.

    Raises:
        ValueError: an array is of no datatype.
    """
    body: list[Buffer] = [_COUNT.pack(len(tensors))]
    for name, array in tensors.items():
        datatype = _OF_DTYPES.get(array.dtype)
        if datatype is None:
            raise ValueError(f"tensor {name!r} is of {array.dtype}, which is no datatype")
        elements = _from_texts(array) if datatype is Datatype.BYTES else _raw(array)
        body += (_described(name, datatype, array.shape), _SIZE.pack(len(elements)), elements)
    return body


def tensors_from_wire(body: memoryview) -> dict[str, Tensor]:
    """Tensors from the body of a frame, as views of it.

    Raises:
        WireError: the body is not of tensors.
    """
    reader = _Reader(body)
    return dict(_tensor(reader) for _ in range(reader.number(_COUNT)))


def signature_to_wire(signature: Signature) -> list[Buffer]:
    """A signature as the body of a frame."""
    body: list[Buffer] = []
    for specs in (signature.inputs, signature.outputs):
        body.append(_COUNT.pack(len(specs)))
        for spec in specs:
            sizes = [_OPEN if size is None else size for size in spec.shape]
            body.append(_described(spec.name, spec.datatype, sizes))
    return body


def signature_from_wire(body: memoryview) -> Signature:
    """A signature from the body of a frame.

    Raises:
        WireError: the body is not of a signature.
    """
    reader = _Reader(body)
    inputs, outputs = (tuple(_spec(reader) for _ in range(reader.number(_COUNT))) for _ in range(2))
    return Signature(inputs, outputs)


def text_from_wire(body: memoryview) -> str:
    """A text from the body of a frame."""
    return str(body, "utf-8", "replace")


class _Reader:
    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._place = 0

    def take(self, size: int) -> memoryview:
        end = self._place + size
        if size < 0 or end > len(self._body):
            raise WireError(f"a frame of {len(self._body)} bytes ends before its content")
        piece = self._body[self._place : end]
        self._place = end
        return piece

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def header(self) -> tuple[str, Datatype, tuple[int, ...]]:
        name = str(self.take(self.number(_LENGTH)), "utf-8", "replace")
        code, dimensions = map(int, _SHAPE.unpack(self.take(_SHAPE.size)))
        if code >= len(_DATATYPES) or dimensions > _MOST_DIMENSIONS:
            raise WireError(f"tensor {name!r} has datatype {code} and {dimensions} dimensions")
        return name, _DATATYPES[code], tuple(self.number(_SIZE) for _ in range(dimensions))


def _described(name: str, datatype: Datatype, sizes: Sequence[int]) -> bytes:
    text = name.encode()
    head = _LENGTH.pack(len(text)) + text + _SHAPE.pack(_CODES[datatype], len(sizes))
    return head + b"".join(map(_SIZE.pack, sizes))


def _spec(reader: _Reader) -> TensorSpec:
    name, datatype, sizes = reader.header()
    return TensorSpec(name, datatype, tuple(None if size == _OPEN else size for size in sizes))


def _tensor(reader: _Reader) -> tuple[str, Tensor]:
    name, datatype, shape = reader.header()
    elements = reader.take(reader.number(_SIZE))
    if min(shape, default=0) < 0:
        raise WireError(f"tensor {name!r} has shape {shape}")
    if datatype is Datatype.BYTES:
        return name, _to_texts(elements, shape)
    if len(elements) != prod(shape) * datatype.dtype.itemsize:
        raise WireError(f"tensor {name!r} has {len(elements)} bytes for shape {shape} of {datatype}")
    return name, _view(elements, shape, datatype)


def _view(elements: memoryview, shape: tuple[int, ...], datatype: Datatype) -> Tensor:
    array: Tensor = np.ndarray(shape, datatype.dtype, elements)
    # Vector instructions may fault on numbers that begin anywhere.
    return array if array.flags.aligned else array.copy()


def _raw(array: Tensor) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _from_texts(array: Tensor) -> bytes:
    pieces: list[bytes] = []
    for element in array.ravel().tolist():
        content = element if isinstance(element, bytes) else str(element).encode(errors="replace")
        pieces += (_LENGTH.pack(len(content)), content)
    return b"".join(pieces)


def _to_texts(elements: memoryview, shape: tuple[int, ...]) -> Tensor:
    reader = _Reader(elements)
    count = prod(shape)
    if count > len(elements) // _LENGTH.size:  # counted first: a shape cannot ask for more memory than was sent
        raise WireError(f"{len(elements)} bytes are not {count} texts")
    array = np.empty(count, dtype=np.object_)
    array[:] = [_text(bytes(reader.take(reader.number(_LENGTH)))) for _ in range(count)]
    return array.reshape(shape)


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _left(deadline: float | None) -> float | None:
    """Seconds until a deadline, never 0, which a socket takes for "do not wait"."""
    return None if deadline is None else max(1e-3, deadline - time.monotonic())
