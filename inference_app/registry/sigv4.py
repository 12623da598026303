"""AWS Signature Version 4 of a request to S3 without a body.

Source: AWS, "Create a signed AWS API request", and of S3 "Signature Calculations for the Authorization Header". Of the
AWS SDKs this is the one part that reading a bucket needs, and they weigh 15 to 30 MB.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

_NO_BODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks.

    Attributes:
        access_key: The access key's id.
        secret_key: Its secret.
        token: The session token of temporary ones; else empty.
        expires: When they end, in seconds since the epoch; None for never.
    """

    access_key: str
    secret_key: str
    token: str = ""
    expires: float | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


def query_string(parameters: Mapping[str, str]) -> str:
    """A query in the one form that is signed: sorted, and all but unreserved characters escaped."""
    return "&".join(f"{_escape(name)}={_escape(parameters[name])}" for name in sorted(parameters))


def escape_path(path: str) -> str:
    """A path in the one form that S3 signs: escaped once, but for the slashes."""
    return quote(path, safe="/-_.~")


def signed_headers(method: str, url: httpx.URL, credentials: Credentials, *, region: str, now: float) -> dict[str, str]:
    """The headers that make a request without a body a signed one.

    Args:
        method: GET or HEAD.
        url: Where to; path and query in the form of `escape_path` and `query_string`.
        credentials: Who asks.
        region: The region that S3 is asked in.
        now: Seconds since the epoch; services refuse what is 15 minutes off.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    path, _, query = url.raw_path.decode().partition("?")
    headers = {"host": url.netloc.decode(), "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, path, query, lines, names, _NO_BODY))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    statement = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={_hmac(key, statement).hex()}"
    )
    return headers


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


def _escape(value: str) -> str:
    return quote(value, safe="-_.~")
