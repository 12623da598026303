"""What every protocol is to the server."""

from typing import Any, Protocol, cast

import orjson

from inference_app.model import Signature, Tensors, TensorSpec


class InvalidRequestError(Exception):
    """The request is wrong; the message names the field, the row and what was expected."""


class Codec(Protocol):
    """One protocol: how its requests are read and its responses written."""

    def decode(self, body: bytes, signature: Signature) -> Tensors:
        """Read a request.

        Returns:
            An array for every input of the signature, of its datatype and shape.

        Raises:
            InvalidRequestError: the body is not a request of this protocol, or not one for this model.
        """
        ...

    def encode(self, outputs: Tensors, version: str) -> bytes:
        """Write the response for the model's outputs, in the order of the signature."""
        ...


def json_field(body: bytes, field: str) -> object:
    """The value of one required field of a JSON object.

    JSON as in RFC 8259: NaN and Infinity are not numbers; nesting is limited to 1024 levels by the parser.

    Raises:
        InvalidRequestError: not JSON, not an object, or without that field.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"body: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequestError(f'body: expected an object with "{field}", got {describe(document)}')
    fields = cast("dict[str, object]", document)
    if field not in fields:
        raise InvalidRequestError(f'body: expected an object with "{field}", which is missing')
    return fields[field]


def only_input(signature: Signature) -> TensorSpec:
    """The input of a model that has just one.

    Raises:
        InvalidRequestError: it has several, which rows without names cannot tell apart.
    """
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise InvalidRequestError(
            f"this model has {len(signature.inputs)} inputs ({names}); rows without names fit models with one"
        )
    return signature.inputs[0]


def describe(value: object) -> str:
    """A JSON value, short enough for an error message."""
    match value:
        case dict():
            return "an object"
        case list():
            return f"a list of {len(cast('list[Any]', value))}"
        case _:
            text = orjson.dumps(value).decode()
            return text if len(text) <= 40 else f"{text[:40]}..."
