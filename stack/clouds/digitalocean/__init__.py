"""DigitalOcean: DOCR, DOKS, managed Postgres and Spaces; App Platform in light mode. Read `cloud` first."""

from stack.clouds.digitalocean.cloud import DigitalOceanCloud
from stack.clouds.digitalocean.light import DigitalOceanLight
from stack.settings import Settings


def connect(settings: Settings) -> DigitalOceanCloud:
    """Everything in one VPC of the account whose token is in DIGITALOCEAN_TOKEN."""
    return DigitalOceanCloud(settings)


def connect_light(settings: Settings) -> DigitalOceanLight:
    """The same without Kubernetes."""
    return DigitalOceanLight(settings)
