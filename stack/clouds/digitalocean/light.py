"""The map of DigitalOcean without Kubernetes: App Platform."""

import shlex
from collections.abc import Sequence

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_random as random

from stack.catalog import catalog
from stack.clouds.contract import Access, Bucket, Container, Database, KeptSecret, LightSecret
from stack.clouds.digitalocean.account import Account
from stack.clouds.digitalocean.database import ManagedDatabase
from stack.clouds.digitalocean.network import Network
from stack.clouds.digitalocean.registry import ContainerRegistry
from stack.clouds.digitalocean.storage import Space
from stack.settings import Settings


class DigitalOceanLight:
    """What the contract of light mode asks for, from DigitalOcean's services."""

    hosts = "*.ondigitalocean.app"

    def __init__(self, settings: Settings) -> None:
        self._account = Account(settings)
        self._network = Network("platform", self._account)
        self._secrets = random.Provider("secrets")
        self._size = catalog("digitalocean").light[settings.light_size].size
        self.registry = ContainerRegistry("platform", self._account).contract

    def database(self, name: str) -> Database[LightSecret]:
        """A managed Postgres, for this network only."""
        client = self._network.ip_range
        managed = ManagedDatabase(name, self._account, self._network, client_type="ip_addr", client=client)
        return Database(
            managed.host,
            managed.port,
            managed.database,
            Access(
                {"PGSSLMODE": "verify-full", "DATABASE_CA_PEM": managed.certificate, "PGUSER": managed.user},
                {"PGPASSWORD": managed.password},
            ),
            Access(
                {"DATABASE_ADMIN_URI": managed.administrator, "DATABASE_USER": managed.user},
                {"DATABASE_ADMIN_PASSWORD": managed.administrator_password},
            ),
        )

    def bucket(self, name: str) -> Bucket[LightSecret]:
        """A bucket in Spaces."""
        space = Space(name, self._account)

        def access(client: str, writes: bool) -> Access[LightSecret]:
            key = space.key(client, writes=writes)
            secret = pulumi.Output.secret(key.secret_key)
            return Access({"AWS_ACCESS_KEY_ID": key.access_key}, {"AWS_SECRET_ACCESS_KEY": secret})

        return Bucket(space.name, space.endpoint, space.region, access)

    def secret(self, name: str) -> KeptSecret:
        """A password that lies, encrypted, in the stack's state."""
        password = random.RandomPassword(
            name, length=32, special=False, opts=pulumi.ResourceOptions(provider=self._secrets)
        )
        value = pulumi.Output.secret(password.result)
        return KeptSecret(value, value)

    def run(self, name: str, container: Container) -> pulumi.Output[str]:
        """An app of one service."""
        return App(name, self._account, self._network, self._size, container).url


class App(pulumi.ComponentResource):
    """A container on App Platform, in the VPC, with a URL of its own.

    Attributes:
        url: Its URL, known once it answers.
    """

    def __init__(self, name: str, account: Account, network: Network, size: str, container: Container) -> None:
        super().__init__("inference-platform:digitalocean:App", name, None, account.options)
        image: digitalocean.AppSpecServiceImageArgsDict = {
            "registry_type": "DOCR",
            "repository": container.image.name,
            "digest": container.image.digest,
        }
        service: digitalocean.AppSpecServiceArgsDict = {
            "name": name,
            "image": image,
            "instance_count": container.replicas,
            "instance_size_slug": size,
            "http_port": container.port,
            "health_check": {"http_path": container.health_path, "initial_delay_seconds": 10, "failure_threshold": 30},
            "liveness_health_check": {"http_path": container.health_path},
            "envs": _variables(container.access),
        }
        if container.arguments:
            service["run_command"] = _command(container, container.arguments)
        spec: digitalocean.AppSpecArgsDict = {
            # An app's name is part of its address, and of 32 characters at most.
            "name": f"{name}-{pulumi.get_stack()}"[:32],
            "region": account.settings.region.rstrip("0123456789"),
            "vpcs": [{"id": network.id}],
            "services": [service],
            "alerts": [{"rule": "DEPLOYMENT_FAILED"}],
            "ingress": {"rules": [{"match": {"path": {"prefix": "/"}}, "component": {"name": name}}]},
        }
        if container.release:
            spec["jobs"] = [
                {
                    "name": f"{name}-release",
                    "kind": "PRE_DEPLOY",
                    "image": {**image},
                    "instance_count": 1,
                    "instance_size_slug": size,
                    "run_command": _command(container, container.release),
                    "envs": [*_variables(container.access), *_variables(container.releasing)],
                }
            ]
        app = digitalocean.App(name, spec=spec, opts=pulumi.ResourceOptions(parent=self))
        self.url = app.live_url
        self.register_outputs({"url": self.url})


def _command(container: Container, arguments: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    return pulumi.Output.all(*arguments).apply(lambda known: shlex.join([*container.program, *known]))


def _variables(access: Access[LightSecret]) -> list[digitalocean.AppSpecServiceEnvArgsDict]:
    plain: list[digitalocean.AppSpecServiceEnvArgsDict] = [
        {"key": key, "value": value, "scope": "RUN_TIME", "type": "GENERAL"} for key, value in access.variables.items()
    ]
    secret: list[digitalocean.AppSpecServiceEnvArgsDict] = [
        {"key": key, "value": value, "scope": "RUN_TIME", "type": "SECRET"} for key, value in access.secrets.items()
    ]
    return plain + secret
