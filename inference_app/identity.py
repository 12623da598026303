"""Request ids: the client's own if it is harmless, else one of ours."""

import itertools
import re
import secrets

HEADER = b"x-request-id"

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# Unique among processes by the random part, within one by the number: a fraction of what a UUID costs.
_PREFIX = secrets.token_hex(8)
_numbers = itertools.count(1)


def identify(offered: bytes | None) -> str:
    """The id of a request that came with this header; it ends up in logs and headers, so not everything will do."""
    if offered is not None and _SANE.fullmatch(offered):
        return offered.decode("ascii")
    return f"{_PREFIX}-{next(_numbers):x}"
