"""How much a client may ask for that is no work: pings, settings, priorities, calls begun and given up.

Each is cheap, and a client that sends nothing else keeps the server busy for nothing (CVE-2019-9512, CVE-2019-9515,
CVE-2019-9518, CVE-2023-44487).
"""

from time import monotonic
from typing import Final

from inference_app.rpc.frames import ENHANCE_YOUR_CALM, Http2Error

_MOST: Final = 10_000  # at once
_EACH_SECOND: Final = 1_000  # again


class Patience:
    """One connection's budget."""

    def __init__(self) -> None:
        self._left: float = _MOST
        self._since = monotonic()

    def spend(self, cost: int = 1) -> None:
        """Bear a frame.

        Raises:
            Http2Error: there have been too many.
        """
        self._left -= cost
        if self._left < 0:
            now = monotonic()
            self._left = min(_MOST, self._left + (now - self._since) * _EACH_SECOND)
            self._since = now
            if self._left < 0:
                raise Http2Error(ENHANCE_YOUR_CALM, "too many frames that ask for nothing")
