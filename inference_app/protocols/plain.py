"""The plain protocol of `/predict`: rows in, the model's first output out."""

import orjson

from inference_app.model import Signature, Tensors
from inference_app.protocols.codec import json_field, only_input
from inference_app.protocols.rows import to_tensor
from inference_app.protocols.values import to_json


class PlainCodec:
    """`{"data": [row, ...]}` to `{"prediction": [value, ...], "modelVersion": "3"}`."""

    def decode(self, body: bytes, signature: Signature) -> Tensors:
        """Read `data`; see `Codec.decode`."""
        spec = only_input(signature)
        return {spec.name: to_tensor(json_field(body, "data"), spec, "data")}

    def encode(self, outputs: Tensors, version: str) -> bytes:
        """Write the model's first output, which of a classifier is its labels."""
        prediction = to_json(next(iter(outputs.values())))
        return orjson.dumps({"prediction": prediction, "modelVersion": version}, option=orjson.OPT_SERIALIZE_NUMPY)
