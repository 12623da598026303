"""MLflow's webhooks: which deliveries are believed, and which sources they concern."""

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from inference_app.registry import RefusedWebhookError, WebhookEvent, WebhookVerifier

_SECRET = "a secret"
_NOW = 1_800_000_000.0
_ALIAS = {"entity": "model_version_alias", "action": "created", "data": {"name": "demo", "alias": "production"}}


def _signed(
    document: Any = _ALIAS, *, delivery: str = "d-1", timestamp: object = int(_NOW), secret: str = _SECRET
) -> tuple[dict[str, str], bytes]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    mac = hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "X-MLflow-Delivery-Id": delivery,
        "x-mlflow-timestamp": str(timestamp),
        "X-MLFLOW-SIGNATURE": f"v1,{base64.b64encode(mac).decode()}",
    }
    return headers, body


def test_a_genuine_delivery_says_what_happened() -> None:
    event = WebhookVerifier(_SECRET).verify(*_signed(), now=_NOW + 299)
    assert event == WebhookEvent("model_version_alias", "created", "demo", "production")
    assert event.concerns("models:/demo@production")
    assert not event.concerns("models:/demo@staging")
    assert not event.concerns("models:/other@production")
    assert not event.concerns("file:///demo@production")


@pytest.mark.parametrize(
    ("entity", "action", "concerned"),
    [
        ("model_version_alias", "deleted", True),
        ("model_version", "created", True),
        ("model_version_tag", "set", True),
        ("model_version_tag", "deleted", True),
        ("registered_model", "created", False),
        ("prompt_alias", "created", False),
        ("model_version", "exceeded", False),
    ],
)
def test_events_and_whom_they_concern(entity: str, action: str, concerned: bool) -> None:
    document = {"entity": entity, "action": action, "timestamp": "now", "data": {"name": "demo", "version": "1"}}
    event = WebhookVerifier(_SECRET).verify(*_signed(document), now=_NOW)
    assert event.concerns("models:/demo@production") is concerned


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (_signed(secret="another"), "X-MLflow-Signature does not match"),
        (_signed(timestamp=int(_NOW) - 301), "X-MLflow-Timestamp is more than 300 s off"),
        (_signed(timestamp=int(_NOW) + 301), "X-MLflow-Timestamp is more than 300 s off"),
        (_signed(timestamp="soon"), "X-MLflow-Timestamp is more than 300 s off"),
        (_signed(timestamp="\uff11\uff18" + "\uff10" * 8), "X-MLflow-Timestamp is more than 300 s off"),
        (_signed(timestamp="9" * 200), "X-MLflow-Timestamp is more than 300 s off"),
        (_signed(delivery="d" * 300), "X-MLflow-Delivery-Id is too long"),
        (_signed(b"[]"), "the body is not one of MLflow's events"),
        (_signed(b"not JSON"), "the body is not one of MLflow's events"),
        (_signed(b" " * (2**20 + 1)), "the body is larger than 1048576 bytes"),
    ],
    ids=["secret", "old", "early", "no number", "other digits", "huge number", "long id", "list", "no JSON", "large"],
)
def test_what_is_refused(delivery: tuple[dict[str, str], bytes], reason: str) -> None:
    with pytest.raises(RefusedWebhookError, match=f"^{re.escape(reason)}$"):
        WebhookVerifier(_SECRET).verify(*delivery, now=_NOW)


@pytest.mark.parametrize("header", ["X-MLflow-Delivery-Id", "x-mlflow-timestamp", "X-MLFLOW-SIGNATURE"])
def test_every_header_counts(header: str) -> None:
    headers, body = _signed()
    for wrong in ("", headers[header] + "0", "v1,ü"):
        with pytest.raises(RefusedWebhookError, match=r"is missing|does not match"):
            WebhookVerifier(_SECRET).verify({**headers, header: wrong}, body, now=_NOW)
    with pytest.raises(RefusedWebhookError, match="does not match"):
        WebhookVerifier(_SECRET).verify(headers, body + b" ", now=_NOW)


def test_a_delivery_counts_once() -> None:
    verifier = WebhookVerifier(_SECRET)
    verifier.verify(*_signed(), now=_NOW)
    with pytest.raises(RefusedWebhookError, match="was there before"):
        verifier.verify(*_signed(), now=_NOW + 200)
    verifier.verify(*_signed(delivery="d-2"), now=_NOW + 200)
    early = _signed(delivery="d-3", timestamp=int(_NOW) + 1100)
    verifier.verify(*early, now=_NOW + 801)
    with pytest.raises(RefusedWebhookError, match="was there before"):
        verifier.verify(*early, now=_NOW + 1400)


def test_only_so_many_deliveries_are_remembered() -> None:
    verifier = WebhookVerifier(_SECRET)
    for number in range(10_002):
        verifier.verify(*_signed(delivery=str(number)), now=_NOW)
    with pytest.raises(RefusedWebhookError, match="was there before"):
        verifier.verify(*_signed(delivery="10001"), now=_NOW)
    verifier.verify(*_signed(delivery="0"), now=_NOW)


def test_signatures_are_those_of_mlflow_itself() -> None:
    delivery = pytest.importorskip("mlflow.webhooks.delivery")
    body = json.dumps(_ALIAS)
    signature = delivery._generate_hmac_signature(_SECRET, "d-1", str(int(_NOW)), body)  # noqa: SLF001
    headers = {
        "X-MLflow-Signature": signature,
        "X-MLflow-Delivery-Id": "d-1",
        "X-MLflow-Timestamp": str(int(_NOW)),
    }
    assert WebhookVerifier(_SECRET).verify(headers, body.encode(), now=_NOW).model == "demo"
