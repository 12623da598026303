"""Bounds on what is received: the size of a body, the time it may take, the memory for all of them together."""


class BodyLimits:
    """Counts the bytes of bodies that are received or wait for their turn; for the event loop's thread.

    Args:
        body: Bytes of the largest body.
        together: Bytes of all bodies at any moment.
        seconds: For a whole body to arrive; a sender slower than this holds a connection for nothing.
    """

    def __init__(self, body: int, together: int, seconds: float) -> None:
        self.body = body
        self.seconds = seconds
        self._left = together

    def take(self, size: int) -> bool:
        """Make room for so many bytes more; False, and nothing taken, if there is none."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are done with."""
        self._left += size
