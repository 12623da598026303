"""MLServer with a custom runtime, decoding and encoding with its own NumPy codec."""
# pyright: basic, reportMissingImports=false

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from runtime import Session


class OnnxModel(MLModel):
    """Adaptive batching, where it is on, happens before `predict`."""

    async def load(self) -> bool:
        """Called once."""
        self.session = Session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One request, or several that MLServer has merged."""
        outputs = self.session.run(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in outputs.items()],
        )
