"""What this package tells of its work."""

from typing import Protocol


class Observer(Protocol):
    """Takes note of requests, such as for metrics; called in the event loop's thread."""

    def answered(self, model: str, version: str, status: str) -> None:
        """A request for an inference came to an end.

        Args:
            model: The served model's name; empty where the request named none that is served.
            version: Its version; empty likewise.
            status: gRPC's name of the status code, such as `OK`.
        """
        ...

    def inferred(self, model: str, version: str, quantized: bool, seconds: float) -> None:
        """A request was decoded, computed and encoded in this time."""
        ...
