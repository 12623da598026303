"""MLflow's webhooks: is this one genuine, and which models does it speak of?

Source: MLflow 3, "Webhooks": the header X-MLflow-Signature is "v1," and the base64 of an HMAC-SHA256, under the
webhook's secret, of "<X-MLflow-Delivery-Id>.<X-MLflow-Timestamp>.<body>"; the body is {"entity", "action", "data"}.
"""

import base64
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from inference_app.registry.uri import MlflowUri, parse_uri

MAX_BODY_BYTES = 2**20
_WINDOW_SECONDS = 300
_MOST_DELIVERIES = 10_000
_LONGEST_HEADER = 256
# After which of its events the target of an alias may be another.
_EVENTS = frozenset(
    {
        ("model_version_alias", "created"),
        ("model_version_alias", "deleted"),
        ("model_version", "created"),
        ("model_version_tag", "set"),
        ("model_version_tag", "deleted"),
    }
)


class RefusedWebhookError(Exception):
    """A delivery that is not to be believed; the message says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a genuine delivery says.

    Attributes:
        entity: What it happened to, such as `model_version_alias`.
        action: What happened, such as `created`.
        model: The registered model; empty where the event is of no interest to a server.
        alias: The alias that was moved; None where it may be any.
    """

    entity: str
    action: str
    model: str = ""
    alias: str | None = None

    def concerns(self, uri: str) -> bool:
        """Whether a source, as the settings write it, may want something else now."""
        source = parse_uri(uri)
        return isinstance(source, MlflowUri) and self.model == source.model and self.alias in (None, source.alias)


class _Data(BaseModel):
    name: str = ""
    alias: str | None = None


class _Body(BaseModel):
    entity: str
    action: str
    data: _Data = _Data()


class WebhookVerifier:
    """Tells genuine deliveries from others. Used by one thread.

    Args:
        secret: What MLflow signs with.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookEvent:
        """What a delivery says, if MLflow sent it, just now and for the first time.

        Args:
            headers: The request's headers, in any case.
            body: Its body as it came.
            now: Seconds since the epoch.

        Raises:
            RefusedWebhookError: it is too large, unsigned, wrongly signed, more than 300 s old or early, was there
                before, or makes no sense.
        """
        if len(body) > MAX_BODY_BYTES:
            raise RefusedWebhookError(f"the body is larger than {MAX_BODY_BYTES} bytes")
        lower = {name.lower(): value for name, value in headers.items()}
        delivery = _header(lower, "X-MLflow-Delivery-Id")
        timestamp = _header(lower, "X-MLflow-Timestamp")
        signature = _header(lower, "X-MLflow-Signature")
        mac = hmac.digest(self._secret, f"{delivery}.{timestamp}.".encode() + body, "sha256")
        if not hmac.compare_digest(b"v1," + base64.b64encode(mac), signature.encode()):
            raise RefusedWebhookError("X-MLflow-Signature does not match")
        if not (timestamp.isascii() and timestamp.isdecimal()) or abs(now - int(timestamp)) > _WINDOW_SECONDS:
            raise RefusedWebhookError(f"X-MLflow-Timestamp is more than {_WINDOW_SECONDS} s off")
        self._see(delivery, now)
        return _event(body)

    def _see(self, delivery: str, now: float) -> None:
        # A delivery can come again for as long as its timestamp passes, which may be early by the window.
        while self._seen and next(iter(self._seen.values())) < now - 2 * _WINDOW_SECONDS:
            self._seen.popitem(last=False)
        if delivery in self._seen:
            raise RefusedWebhookError("X-MLflow-Delivery-Id was there before")
        self._seen[delivery] = now
        if len(self._seen) > _MOST_DELIVERIES:
            self._seen.popitem(last=False)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name.lower(), "")
    if not value or len(value) > _LONGEST_HEADER:
        raise RefusedWebhookError(f"{name} is missing" if not value else f"{name} is too long")
    return value


def _event(body: bytes) -> WebhookEvent:
    try:
        parsed = _Body.model_validate_json(body)
    except ValidationError as error:
        raise RefusedWebhookError("the body is not one of MLflow's events") from error
    if (parsed.entity, parsed.action) not in _EVENTS:
        return WebhookEvent(parsed.entity, parsed.action)
    return WebhookEvent(parsed.entity, parsed.action, parsed.data.name, parsed.data.alias)
