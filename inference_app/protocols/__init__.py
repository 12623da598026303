"""The protocols: a request's bytes to tensors, tensors to a response's bytes. Know no HTTP, engine or registry."""

from inference_app.protocols.codec import Codec, InvalidRequestError
from inference_app.protocols.plain import PlainCodec
from inference_app.protocols.v1 import V1Codec

__all__ = ["Codec", "InvalidRequestError", "PlainCodec", "V1Codec"]
