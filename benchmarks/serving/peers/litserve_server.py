"""LitServe: one HTTP process, one worker process, ZeroMQ between them (its `fast_queue`)."""
# pyright: basic, reportMissingImports=false

import litserve
from runtime import Given, Session

GIVEN = Given()


class Predictor(litserve.LitAPI):
    """V1; several requests at once where batching is on."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - there is but the CPU
        """Called once in the worker."""
        self.session = Session(GIVEN.file)

    def decode_request(self, request: dict) -> list:
        """The rows of one request."""
        return request["instances"]

    def batch(self, inputs: list) -> list:
        """The default would make an array of them."""
        return inputs

    def predict(self, rows: list) -> list:
        """All rows of all requests in one run."""
        if self.max_batch_size == 1:
            return self.session.predict(rows)
        predictions = iter(self.session.predict([row for request in rows for row in request]))
        return [[next(predictions) for _ in request] for request in rows]

    def unbatch(self, output: list) -> list:
        """One entry a request already."""
        return output

    def encode_response(self, output: list) -> dict:
        """The answer of one request."""
        return {"predictions": output}


if __name__ == "__main__":
    api = Predictor(max_batch_size=GIVEN.max_batch, batch_timeout=GIVEN.max_wait_ms / 1000)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=GIVEN.port, log_level="warning", access_log=False, generate_client_file=False)
