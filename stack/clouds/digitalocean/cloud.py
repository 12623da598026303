"""The map of DigitalOcean with Kubernetes."""

from collections.abc import Mapping

import pulumi

from stack.clouds.contract import Access, Bucket, Database, Exposure, SecretKey
from stack.clouds.digitalocean.account import Account
from stack.clouds.digitalocean.cluster import KubernetesCluster
from stack.clouds.digitalocean.database import ManagedDatabase
from stack.clouds.digitalocean.exposure import Exposures
from stack.clouds.digitalocean.network import Network
from stack.clouds.digitalocean.registry import ContainerRegistry
from stack.clouds.digitalocean.storage import Space
from stack.components.credentials import Credentials, CredentialsArgs
from stack.placement import App, Placement
from stack.settings import Settings


class DigitalOceanCloud:
    """What the contract asks for, from DigitalOcean's services."""

    def __init__(self, settings: Settings) -> None:
        self._account = Account(settings)
        self._network = Network("platform", self._account)
        registry = ContainerRegistry("platform", self._account)
        self._cluster = KubernetesCluster("platform", self._account, self._network, registry)
        self._exposures = Exposures("platform", self._account)
        self.registry = registry.contract
        self.cluster = self._cluster.contract

    @property
    def inference_exposure(self) -> Exposure:
        """A load balancer."""
        return self._exposures.of("inference", "/healthz")

    @property
    def mlflow_exposure(self) -> Exposure:
        """A load balancer."""
        return self._exposures.of("mlflow", "/health")

    def database(self, name: str, placement: Placement) -> Database[SecretKey]:
        """A managed Postgres, for this cluster only."""
        managed = ManagedDatabase(name, self._account, self._network, client_type="k8s", client=self._cluster.id)
        entries = {
            "username": managed.user,
            "password": managed.password,
            "administrator-password": managed.administrator_password,
        }
        keys = self._in_cluster(f"{name}-database", placement.app("postgres", component="database"), entries)
        return Database(
            managed.host,
            managed.port,
            managed.database,
            Access(
                {"PGSSLMODE": "verify-full", "DATABASE_CA_PEM": managed.certificate},
                {"PGUSER": keys.key("username"), "PGPASSWORD": keys.key("password")},
            ),
            Access(
                {"DATABASE_ADMIN_URI": managed.administrator, "DATABASE_USER": managed.user},
                {"DATABASE_ADMIN_PASSWORD": keys.key("administrator-password")},
            ),
        )

    def bucket(self, name: str, placement: Placement) -> Bucket[SecretKey]:
        """A bucket in Spaces."""
        space = Space(name, self._account)

        def access(client: str, writes: bool) -> Access[SecretKey]:
            key = space.key(client, writes=writes)
            entries = {"access-key": key.access_key, "secret-key": pulumi.Output.secret(key.secret_key)}
            keys = self._in_cluster(f"{client}-bucket", placement.app("spaces", component="object-store"), entries)
            return Access(
                secrets={
                    "AWS_ACCESS_KEY_ID": keys.key("access-key"),
                    "AWS_SECRET_ACCESS_KEY": keys.key("secret-key"),
                }
            )

        return Bucket(space.name, space.endpoint, space.region, access)

    def keep_secrets(self, app: App, entries: Mapping[str, str]) -> None:
        """DigitalOcean has no store of secrets: the cluster, whose etcd it encrypts, is the place."""
        del app, entries

    def _in_cluster(self, name: str, app: App, entries: Mapping[str, pulumi.Input[str]]) -> Credentials:
        kept = pulumi.Output.all(**entries)
        options = pulumi.ResourceOptions(providers=[self.cluster.provider])
        return Credentials(name, CredentialsArgs(app, entries, kept), options)
