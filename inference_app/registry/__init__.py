"""The registry, where models come from: resolve, download, verify, cache, switch. Knows no protocol and no engine."""

from inference_app.registry.admission import Load, LoadObserver
from inference_app.registry.build import follow
from inference_app.registry.follower import Follower
from inference_app.registry.target import BrokenImageError
from inference_app.registry.webhook import RefusedWebhookError, WebhookEvent, WebhookVerifier

__all__ = [
    "BrokenImageError",
    "Follower",
    "Load",
    "LoadObserver",
    "RefusedWebhookError",
    "WebhookEvent",
    "WebhookVerifier",
    "follow",
]
