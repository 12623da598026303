"""A Kubernetes cluster that is there already: database and bucket are pods in it, services answer at node ports."""

import os
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import Service

from stack.clouds.contract import Access, Bucket, Cluster, Database, Exposure, Registry, SecretKey
from stack.components.object_store import ObjectStore, ObjectStoreArgs
from stack.components.postgres import Postgres, PostgresArgs
from stack.placement import App, Placement
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
        view = "kubectl config view --raw --minify --flatten"
        context = f" --context={settings.context}" if settings.context else ""
        self.cluster = Cluster(
            provider,
            name=settings.context or "current context",
            kubeconfig_path=kubeconfig,
            kubeconfig_command=f"{view} --kubeconfig={kubeconfig}{context} > kubeconfig.yaml",
        )
        self.registry = Registry(settings.registry, str)
        self.inference_exposure = self._node_port(settings.inference_port)
        self.mlflow_exposure = self._node_port(settings.mlflow_port)

    def database(self, name: str, placement: Placement) -> Database[SecretKey]:
        """A pod with Postgres."""
        args = PostgresArgs(placement, self._settings.postgres_image, database=name)
        postgres = Postgres("postgres", args, self._in_cluster)
        access = Access(secrets={"PGUSER": postgres.user, "PGPASSWORD": postgres.password})
        return Database(postgres.host, postgres.port, name, access)

    def bucket(self, name: str, placement: Placement) -> Bucket[SecretKey]:
        """A bucket in a pod with SeaweedFS, whose one key is everybody's."""
        args = ObjectStoreArgs(placement, self._settings.object_store_image)
        store = ObjectStore("object-store", args, self._in_cluster)
        access = Access(secrets={"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key})
        return Bucket(name, store.endpoint, "us-east-1", lambda _client, _writes: access)

    def keep_secrets(self, app: App, entries: Mapping[str, str]) -> None:
        """There is no store but the cluster."""
        del app, entries

    @property
    def _in_cluster(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[self.cluster.provider])

    def _node_port(self, port: int) -> Exposure:
        address = self._settings.node_address

        def url(service: Service) -> pulumi.Output[str]:
            return service.id.apply(lambda _: f"http://{address}:{port}")

        # A node port answers once a pod does, which whoever needs it waits for; Pulumi would wait 10 s longer.
        return Exposure(url, node_port=port, annotations={"pulumi.com/skipAwait": "true"})


def connect(settings: Settings) -> LocalCloud:
    """The cluster that the kubeconfig shows."""
    return LocalCloud(settings)
