"""The access log: a line for each request, and under load for a sample of them."""

import logging
import time

from inference_app.logs import request_id
from inference_app.model import ServedModel

_log = logging.getLogger("inference_app.access")


class AccessLog:
    """Writes at most so many lines a second; the first line after some were left out says how many.

    Args:
        per_second: Lines a second.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0
        self._left = per_second
        self._omitted = 0

    def note(  # noqa: PLR0913 - a line has these fields
        self, identity: str, method: str, path: str, *, status: int | str, seconds: float, served: ServedModel | None
    ) -> None:
        """A request was answered: with a status of HTTP, or of gRPC by its name."""
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._left = now, self._per_second
        if not self._left:
            self._omitted += 1
            return
        self._left -= 1
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "model": served.name if served is not None else None,
            "version": served.version if served is not None else None,
            "omitted": self._omitted or None,
        }
        self._omitted = 0
        token = request_id.set(identity)
        _log.info("request", extra=fields)
        request_id.reset(token)
