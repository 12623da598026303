"""A Kubernetes cluster that is there already: database and bucket are pods in it, services answer at node ports."""

import os

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import Service

from stack.clouds.contract import Bucket, Cluster, Database, Exposure, Registry
from stack.components.object_store import ObjectStore, ObjectStoreArgs
from stack.components.postgres import Postgres, PostgresArgs
from stack.placement import Placement
from stack.settings import Settings


class LocalCloud:
    """What the contract asks for, from pods."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # As kubectl finds it.
        kubeconfig = settings.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        provider = kubernetes.Provider(
            "cluster",
            kubeconfig=settings.kubeconfig or None,
            context=settings.context or None,
            enable_server_side_apply=True,
        )
        self.cluster = Cluster(provider, kubeconfig)
        self.registry = Registry(settings.registry)
        self.inference_exposure = self._node_port(settings.inference_port)
        self.mlflow_exposure = self._node_port(settings.mlflow_port)

    def database(self, name: str, placement: Placement) -> Database:
        """A pod with Postgres."""
        args = PostgresArgs(placement, self._settings.postgres_image, database=name)
        postgres = Postgres("postgres", args, self._in_cluster)
        return Database(postgres.host, postgres.port, name, postgres.user, postgres.password)

    def bucket(self, name: str, placement: Placement) -> Bucket:
        """A bucket in a pod with SeaweedFS."""
        args = ObjectStoreArgs(placement, self._settings.object_store_image)
        store = ObjectStore("object-store", args, self._in_cluster)
        return Bucket(name, store.endpoint, "us-east-1", store.access_key, store.secret_key)

    @property
    def _in_cluster(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[self.cluster.provider])

    def _node_port(self, port: int) -> Exposure:
        address = self._settings.node_address

        def url(service: Service) -> pulumi.Output[str]:
            return service.id.apply(lambda _: f"http://{address}:{port}")

        # A node port answers once a pod does, which whoever needs it waits for; Pulumi would wait 10 s longer.
        return Exposure("NodePort", url, port, {"pulumi.com/skipAwait": "true"})


def connect(settings: Settings) -> LocalCloud:
    """The cluster that the kubeconfig shows."""
    return LocalCloud(settings)
