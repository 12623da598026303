"""The Kubernetes cluster."""

import json

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_kubernetes as kubernetes

from stack.clouds.contract import Cluster, GpuNodes
from stack.clouds.digitalocean.account import Account
from stack.clouds.digitalocean.network import Network
from stack.clouds.digitalocean.registry import ContainerRegistry

_POOL = "inference-platform/pool"
# DOKS itself puts this taint on nodes with NVIDIA's GPUs, and runs the device plugin there.
GPU = GpuNodes(resource="nvidia.com/gpu", taint="nvidia.com/gpu", selector={_POOL: "gpu"})


class KubernetesCluster(pulumi.ComponentResource):
    """DOKS with a pool of nodes for everything and, if so asked, one with GPUs.

    Attributes:
        id: The cluster's id.
        contract: What the platform needs of it.
    """

    def __init__(self, name: str, account: Account, network: Network, registry: ContainerRegistry) -> None:
        super().__init__("inference-platform:digitalocean:KubernetesCluster", name, None, account.options)
        settings = account.settings
        child = pulumi.ResourceOptions(parent=self)
        versions = digitalocean.get_kubernetes_versions_output(
            version_prefix=f"{settings.kubernetes_version}.", opts=pulumi.InvokeOptions(parent=self)
        )
        cluster = digitalocean.KubernetesCluster(
            name,
            region=settings.region,
            version=versions.latest_version,
            vpc_uuid=network.id,
            ha=settings.high_availability,
            auto_upgrade=True,
            surge_upgrade=True,
            maintenance_policy={"day": "sunday", "start_time": "03:00"},
            registry_integration=True,
            # Load balancers and volumes that pods asked for go with it.
            destroy_all_associated_resources=True,
            control_plane_firewall={"enabled": True, "allowed_addresses": list(settings.api_networks)},
            node_pool={
                "name": "general",
                "size": settings.node_size,
                "auto_scale": True,
                "min_nodes": settings.nodes_min,
                "max_nodes": settings.nodes_max,
                "labels": {_POOL: "general"},
                "tags": account.tags,
            },
            tags=account.tags,
            # The autoscaler's.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[registry], ignore_changes=["nodePool.nodeCount"]),
        )
        self.id = cluster.id
        ready: list[pulumi.Resource] = [cluster]
        if settings.gpu_node_size:
            ready.append(
                digitalocean.KubernetesNodePool(
                    f"{name}-gpu",
                    cluster_id=cluster.id,
                    size=settings.gpu_node_size,
                    auto_scale=True,
                    min_nodes=settings.gpu_nodes_min,
                    max_nodes=settings.gpu_nodes_max,
                    labels=GPU.selector,
                    taints=[{"key": GPU.taint, "value": "", "effect": "NoSchedule"}],
                    tags=account.tags,
                    opts=pulumi.ResourceOptions(parent=self, ignore_changes=["nodeCount"]),
                )
            )
        provider = kubernetes.Provider(
            "cluster", kubeconfig=_kubeconfig(cluster), enable_server_side_apply=True, opts=child
        )
        self.contract = Cluster(
            provider,
            name=cluster.name,
            kubeconfig_path="kubeconfig.yaml",
            kubeconfig_command=pulumi.Output.concat(
                "doctl kubernetes cluster kubeconfig show ", cluster.id, " > kubeconfig.yaml"
            ),
            ready=ready,
            gpu=GPU if settings.gpu_node_size else None,
        )
        self.register_outputs({"id": self.id})


def _kubeconfig(cluster: digitalocean.KubernetesCluster) -> pulumi.Output[str]:
    """A kubeconfig that asks for a token each time: DigitalOcean's own ends after 7 days, and would be a secret."""

    def written(known: list[str]) -> str:
        identity, endpoint, certificate = known
        command = {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "doctl",
            "args": [
                *("kubernetes", "cluster", "kubeconfig", "exec-credential"),
                *("--version=v1beta1", "--context=default", identity),
            ],
            "interactiveMode": "Never",
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "cluster",
                "clusters": [
                    {"name": "cluster", "cluster": {"server": endpoint, "certificate-authority-data": certificate}}
                ],
                "users": [{"name": "doctl", "user": {"exec": command}}],
                "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "doctl"}}],
            }
        )

    # A certificate is public, but it comes with credentials that aren't.
    certificate = pulumi.Output.unsecret(
        cluster.kube_configs.apply(lambda configs: configs[0].cluster_ca_certificate or "")
    )
    return pulumi.Output.all(cluster.id, cluster.endpoint, certificate).apply(written)
