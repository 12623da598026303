"""Structured logs: one JSON object a line on standard output."""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that the current task works for; empty outside of requests."""

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""The trace that it belongs to (OpenTelemetry); empty where there are no traces."""

# What `extra=` may add to a line.
_FIELDS = ("request_id", "model", "version", "method", "path", "status", "duration_ms", "client", "omitted")


class JsonFormatter(logging.Formatter):
    """Log records as JSON objects: time (RFC 3339, UTC), level, logger, message, then the fields that a record has."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        if current := trace_id.get():
            line["trace_id"] = current
        line.update({name: value for name in _FIELDS if (value := getattr(record, name, None)) is not None})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure_logs() -> None:
    """Send every logger of the process, libraries' too, to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It tells of every request, at the level that we use for events.
    logging.getLogger("httpx").setLevel(logging.WARNING)
