"""BentoML: one service, one worker; the batchable method takes and gives lists."""
# pyright: basic, reportMissingImports=false

from typing import Any

import bentoml
from runtime import Given, Session

GIVEN = Given()


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Predictor:
    """Its API is one row a request where BentoML batches, V1's rows where it does not."""

    def __init__(self) -> None:
        self.session = Session(GIVEN.file)

    @bentoml.api(
        route="/predict", batchable=GIVEN.max_batch > 1, max_batch_size=max(2, GIVEN.max_batch), max_latency_ms=10_000
    )
    def predict(self, instances: list[list[float]]) -> list[Any]:
        """For each row its output."""
        return self.session.predict(instances)
