"""The V1 protocol of TensorFlow Serving and KServe, row format.

Source: TensorFlow Serving, "RESTful API", Predict API (`instances`, `predictions`); KServe, "V1 Protocol".
"""

import orjson

from inference_app.model import Signature, Tensors
from inference_app.protocols.codec import InvalidRequestError, json_field, only_input
from inference_app.protocols.rows import to_tensor
from inference_app.protocols.values import to_json


class V1Codec:
    """`{"instances": [row, ...]}` to `{"predictions": [prediction, ...]}`."""

    def decode(self, body: bytes, signature: Signature) -> Tensors:
        """Read `instances`; see `Codec.decode`."""
        spec = only_input(signature)
        return {spec.name: to_tensor(json_field(body, "instances"), spec, "instances")}

    def encode(self, outputs: Tensors, version: str) -> bytes:  # noqa: ARG002 - V1 carries the version in headers
        """Write `predictions`: for each row a value or list, or an object by output name if there are several.

        Raises:
            InvalidRequestError: of several outputs one is not a value for each row, which V1 cannot say.
        """
        if len(outputs) == 1:
            return orjson.dumps(
                {"predictions": to_json(next(iter(outputs.values())))}, option=orjson.OPT_SERIALIZE_NUMPY
            )
        if len({array.shape[:1] for array in outputs.values()}) != 1 or not all(
            array.ndim for array in outputs.values()
        ):
            raise InvalidRequestError("this model's outputs are not one value for each row; V1 cannot carry them")
        columns = [array.tolist() if array.ndim == 1 else to_json(array) for array in outputs.values()]
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
        return orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
