"""mosec: its Rust web server and one worker process; JSON as mosec reads and writes it."""
# pyright: basic, reportMissingImports=false

from mosec import Server, Worker
from runtime import Given, Session

GIVEN = Given()


class Predictor(Worker):
    """Gets a list of requests where batching is on, else one."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(GIVEN.file)

    def forward(self, data):
        """All rows of all requests in one run."""
        if self.max_batch_size == 1:
            return {"predictions": self.session.predict(data["instances"])}
        predictions = iter(self.session.predict([row for request in data for row in request["instances"]]))
        return [{"predictions": [next(predictions) for _ in request["instances"]]} for request in data]


def serve(worker: type[Worker]) -> None:
    """One worker process, with the batching that was asked for."""
    server = Server()
    server.append_worker(worker, num=1, max_batch_size=GIVEN.max_batch, max_wait_time=GIVEN.max_wait_ms)
    server.run()


if __name__ == "__main__":
    serve(Predictor)
