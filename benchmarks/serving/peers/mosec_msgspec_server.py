"""mosec as somebody would tune it: msgspec, which it uses itself, for JSON in place of the standard library."""
# pyright: basic, reportMissingImports=false

from typing import Any

import msgspec
from mosec_server import Predictor, serve


class FastPredictor(Predictor):
    """The same with other serialisation."""

    def deserialize(self, data: bytes) -> Any:
        """Read a request."""
        return msgspec.json.decode(data)

    def serialize(self, data: Any) -> bytes:
        """Write an answer."""
        return msgspec.json.encode(data)


if __name__ == "__main__":
    serve(FastPredictor)
