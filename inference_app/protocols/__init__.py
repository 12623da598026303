"""The protocols: a request's bytes to tensors, tensors to a response's bytes. Know no HTTP, engine or registry."""

from inference_app.protocols.codec import Codec, Encoded
from inference_app.protocols.plain import PlainCodec
from inference_app.protocols.v1 import V1Codec
from inference_app.protocols.v2 import V2Codec

__all__ = ["Codec", "Encoded", "PlainCodec", "V1Codec", "V2Codec"]
