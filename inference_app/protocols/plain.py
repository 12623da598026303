"""The plain protocol of `/predict`: rows in, the model's first output out."""

from inference_app.model import InferRequest, ServedModel, Signature, Tensors
from inference_app.protocols.codec import Body, Encoded, json_field, only_input
from inference_app.protocols.elements import may_hold_booleans
from inference_app.protocols.rows import to_tensor
from inference_app.protocols.values import to_json, write


class PlainCodec:
    """`{"data": [row, ...]}` to `{"prediction": [value, ...], "modelVersion": "3"}`."""

    def decode(self, body: Body, signature: Signature, json_size: int | None) -> InferRequest:  # noqa: ARG002 - V2's
        """Read `data`; see `Codec.decode`."""
        spec = only_input(signature)
        rows = json_field(body, "data")
        return InferRequest({spec.name: to_tensor(rows, spec, "data", booleans=may_hold_booleans(body))})

    def encode(self, outputs: Tensors, request: InferRequest, served: ServedModel) -> Encoded:  # noqa: ARG002 - V2's
        """Write the model's first output, which of a classifier is its labels."""
        spec = served.model.signature.outputs[0]
        return Encoded(write({"prediction": to_json(outputs[spec.name], spec), "modelVersion": served.version}))
