"""The image that people write by hand: FastAPI, a pydantic model and a session."""
# pyright: basic, reportMissingImports=false

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from runtime import Given, Session

GIVEN = Given()

app = FastAPI()
session = Session(GIVEN.file)


class PredictRequest(BaseModel):
    """V1's request."""

    instances: list[list[float]]


class Prediction(BaseModel):
    """A classifier's two outputs."""

    label: int
    probabilities: list[float]


class PredictResponse(BaseModel):
    """V1's answer."""

    predictions: list[Prediction] | list[list[float]]


@app.post("/v1/models/{name}:predict")
def predict(name: str, request: PredictRequest) -> PredictResponse:  # noqa: ARG001 - there is but one model
    """A plain function, as FastAPI's documentation has it for work that blocks."""
    return PredictResponse(predictions=session.predict(request.instances))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=GIVEN.port, access_log=False, log_level="warning")
