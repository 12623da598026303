"""The container registry."""

import base64
import json

import pulumi
import pulumi_digitalocean as digitalocean

from stack.clouds.contract import Login, Registry
from stack.clouds.digitalocean.account import Account

_HALF_A_DAY = 12 * 60 * 60


class ContainerRegistry(pulumi.ComponentResource):
    """A registry of the stack's own, or one that is shared, with credentials that expire.

    Attributes:
        name: Its name.
        contract: What builds need of it.
    """

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:digitalocean:ContainerRegistry", name, None, account.options)
        settings = account.settings
        child = pulumi.ResourceOptions(parent=self)
        if settings.registry_name:
            shared = digitalocean.get_container_registry_output(
                name=settings.registry_name, opts=pulumi.InvokeOptions(parent=self)
            )
            self.name, endpoint, server = shared.name, shared.endpoint, shared.server_url
        else:
            own = digitalocean.ContainerRegistry(
                name,
                subscription_tier_slug=settings.registry_tier,
                region=settings.bucket_region or settings.region,
                opts=account.keeping_data(self),
            )
            self.name, endpoint, server = own.name, own.endpoint, own.server_url
        credentials = digitalocean.ContainerRegistryDockerCredentials(
            name, registry_name=self.name, write=True, expiry_seconds=_HALF_A_DAY, opts=child
        )
        user, password = self._login(credentials.docker_credentials, server)
        # Stacks that share a registry have repositories of their own, but for their build layers.
        self.contract = Registry(
            prefix=endpoint,
            repository=lambda image: f"{image}-{pulumi.get_stack()}" if settings.registry_name else image,
            login=Login(server, user, password),
            keeps_cache=True,
        )
        self.register_outputs({"name": self.name})

    @staticmethod
    def _login(config: pulumi.Output[str], server: pulumi.Output[str]) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """User and password out of the file that docker keeps them in."""
        pair = pulumi.Output.all(config, server).apply(lambda known: _decoded(*known))
        return pulumi.Output.secret(pair.apply(lambda it: it[0])), pulumi.Output.secret(pair.apply(lambda it: it[1]))


def _decoded(config: str, server: str) -> tuple[str, str]:
    user, _, password = base64.b64decode(json.loads(config)["auths"][server]["auth"]).decode().partition(":")
    return user, password
