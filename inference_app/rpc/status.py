"""Status codes of gRPC, and which of them each kind of error has.

Source: gRPC, "Status codes and their use in gRPC".
"""

from enum import IntEnum

from inference_app import errors


class Status(IntEnum):
    """The codes that this server gives."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


_OF_ERRORS: dict[type[Exception], Status] = {
    errors.InvalidRequestError: Status.INVALID_ARGUMENT,
    errors.UnknownModelError: Status.NOT_FOUND,
    errors.NotReadyError: Status.UNAVAILABLE,
    errors.OverloadedError: Status.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: Status.DEADLINE_EXCEEDED,
    errors.TooLargeError: Status.RESOURCE_EXHAUSTED,
    errors.SlowSenderError: Status.DEADLINE_EXCEEDED,
}


FAULTS = frozenset({Status.DEADLINE_EXCEEDED, Status.UNIMPLEMENTED, Status.INTERNAL, Status.UNAVAILABLE})
"""Those that are errors of the server (OpenTelemetry, "Semantic conventions for gRPC")."""


def status_of(error: Exception) -> Status:
    """The code for an error; INTERNAL for one that is not the client's to know."""
    for kind, status in _OF_ERRORS.items():
        if isinstance(error, kind):
            return status
    return Status.INTERNAL
