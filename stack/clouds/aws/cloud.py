"""The map of AWS with Kubernetes."""

from collections.abc import Mapping

import pulumi

from stack.clouds.aws.account import Account
from stack.clouds.aws.cluster import KubernetesCluster
from stack.clouds.aws.controllers import NodeControllers
from stack.clouds.aws.database import PORT, ManagedDatabase
from stack.clouds.aws.identity import PodIdentity, PodIdentityArgs
from stack.clouds.aws.load_balancer import ApplicationLoadBalancer, ApplicationLoadBalancerArgs
from stack.clouds.aws.network import Network
from stack.clouds.aws.registry import ContainerRegistry
from stack.clouds.aws.secrets import KeptSecrets
from stack.clouds.aws.storage import ArtifactBucket
from stack.clouds.contract import Access, Bucket, Database, Exposure, SecretKey
from stack.placement import App, Placement
from stack.settings import Settings


class AwsCloud:
    """What the contract asks for, from AWS's services."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._account = Account(settings)
        self._network = Network("platform", self._account)
        self._cluster = KubernetesCluster("platform", self._account, self._network)
        NodeControllers("node-controllers", self._account, self._cluster)
        self._balancer = ApplicationLoadBalancer(
            "platform",
            ApplicationLoadBalancerArgs(
                self._account,
                self._network,
                self._cluster.nodes,
                self._cluster.security_group,
                {"inference": (settings.inference_port, "/healthz"), "mlflow": (settings.mlflow_port, "/health")},
            ),
        )
        self._identities: dict[str, PodIdentity] = {}
        self.registry = ContainerRegistry("platform", self._account).contract
        self.cluster = self._cluster.contract

    @property
    def inference_exposure(self) -> Exposure:
        """A host of the load balancer."""
        return self._balancer.exposure("inference", self._settings.inference_port)

    @property
    def mlflow_exposure(self) -> Exposure:
        """A host of the load balancer."""
        return self._balancer.exposure("mlflow", self._settings.mlflow_port)

    def database(self, name: str, placement: Placement) -> Database[SecretKey]:
        """A managed Postgres, for this cluster only."""
        managed = ManagedDatabase(name, self._account, self._network, self._cluster.security_group)
        identity = self._identity(name, placement)
        identity.may("database", *managed.reading_secret(self._account))
        return Database(managed.host, PORT, name, Access(managed.variables, identity=identity.service_account))

    def bucket(self, name: str, placement: Placement) -> Bucket[SecretKey]:
        """A bucket in S3."""
        bucket = ArtifactBucket(name, self._account)

        def access(client: str, writes: bool) -> Access[SecretKey]:
            identity = self._identity(client, placement)
            identity.may("bucket", *bucket.rights(writes=writes))
            return Access(identity=identity.service_account)

        return Bucket(bucket.name, bucket.endpoint, bucket.region, access)

    def keep_secrets(self, app: App, entries: Mapping[str, str]) -> pulumi.Output[Mapping[str, str]]:
        """In Secrets Manager; an `up` brings what was changed there to the cluster."""
        return KeptSecrets(app.name, self._account, entries).entries

    def _identity(self, client: str, placement: Placement) -> PodIdentity:
        if client not in self._identities:
            args = PodIdentityArgs(self._account, self._cluster, placement, client)
            self._identities[client] = PodIdentity(client, args)
        return self._identities[client]
