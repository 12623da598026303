"""What every protocol is to the server."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import orjson

from inference_app.errors import InvalidRequestError
from inference_app.model import InferRequest, ServedModel, Signature, Tensors, TensorSpec

Body = bytes | bytearray


@dataclass(slots=True)  # not frozen, which would double what it costs to make one
class Encoded:
    """A response as a protocol writes it.

    Attributes:
        body: The whole content.
        content_type: Its media type.
        json_size: Bytes of JSON before the raw tensors (V2's binary extension); None where the body is one piece.
    """

    body: bytes
    content_type: bytes = b"application/json"
    json_size: int | None = None


class Codec(Protocol):
    """One protocol over HTTP: how its requests are read, its responses and errors written."""

    def decode(self, body: Body, signature: Signature, json_size: int | None) -> InferRequest:
        """Read a request.

        Args:
            body: The request's content; arrays of the result may be views of it.
            signature: What the model takes.
            json_size: Value of `Inference-Header-Content-Length` (V2's binary extension), None without it.

        Raises:
            InvalidRequestError: the body is not a request of this protocol, or not one for this model.
        """
        ...

    def encode(self, outputs: Tensors, request: InferRequest, served: ServedModel) -> Encoded:
        """Write the response for the model's outputs, which come in the order of the signature.

        Raises:
            InvalidRequestError: this protocol cannot carry such outputs, or not those that were asked for.
        """
        ...


def json_object(body: Body, what: str) -> dict[str, Any]:
    """A JSON object.

    JSON as in RFC 8259: NaN and Infinity are not numbers; nesting is limited to 1024 levels by the parser.

    Args:
        body: The text, UTF-8.
        what: What it is to have, for messages.

    Raises:
        InvalidRequestError: not JSON, or not an object.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"body: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequestError(f"body: expected an object with {what}, got {describe(document)}")
    return cast("dict[str, Any]", document)


def json_field(body: Body, field: str) -> object:
    """The value of one required field of a JSON object.

    Raises:
        InvalidRequestError: not JSON, not an object, or without that field.
    """
    fields = json_object(body, f'"{field}"')
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
