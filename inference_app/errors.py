"""What can go wrong with a request, whatever the protocol; each protocol has its own code for each kind."""


class ServingError(Exception):
    """A request that gets no prediction; the message is for the client and holds no internals."""


class InvalidRequestError(ServingError):
    """The request is wrong; the message names the field, the row and what was expected."""


class UnknownModelError(ServingError):
    """This server has no such model or version."""


class NotReadyError(ServingError):
    """What is asked for belongs here and is not served at the moment; worth another try."""


class OverloadedError(ServingError):
    """More work is waiting than can be done in time; worth another try, later."""


class DeadlineExceededError(ServingError):
    """The client's own time limit passed before the work began."""


class TooLargeError(ServingError):
    """The request is larger than this server takes."""


class SlowSenderError(ServingError):
    """The request did not arrive in time."""
