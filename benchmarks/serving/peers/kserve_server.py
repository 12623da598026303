"""KServe's Python ModelServer with a model of one's own; its logs of requests are off.

It listens on every interface and has no setting for that; the bench asks it on the loopback one.
"""
# pyright: basic, reportMissingImports=false

import logging

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from runtime import Given, Session

GIVEN = Given()
DATATYPES = {"float32": "FP32", "int64": "INT64"}


class Predictor(Model):
    """V1 comes as a dictionary; V2, be it JSON, binary or gRPC, as an `InferRequest`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.session = Session(GIVEN.file)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None) -> dict | InferResponse:  # noqa: ARG002
        """Arrays are encoded by KServe, in the form that was asked for."""
        if not isinstance(payload, InferRequest):
            return {"predictions": self.session.predict(payload["instances"])}
        outputs = self.session.run(payload.inputs[0].as_numpy())
        return InferResponse(
            response_id=payload.id or "1",
            model_name=self.name,
            infer_outputs=[_output(name, array, payload.from_grpc) for name, array in outputs.items()],
            use_binary_outputs=payload.use_binary_outputs,
        )


def _output(name: str, array: np.ndarray, as_grpc: bool) -> InferOutput:
    output = InferOutput(name, list(array.shape), DATATYPES[str(array.dtype)], data=array)
    if as_grpc:
        output.set_data_from_numpy(array)
    return output


if __name__ == "__main__":
    server = ModelServer(http_port=GIVEN.port, grpc_port=GIVEN.grpc_port, enable_latency_logging=False)
    for name in ("uvicorn.access", "kserve", "kserve.trace"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.ERROR)
    server.start([Predictor(GIVEN.model)])
