"""What runs in the cluster for its nodes: the autoscaler, and NVIDIA's device plugin and metrics."""

import pulumi
from pulumi_kubernetes.core.v1 import Namespace

from stack.charts import CLUSTER_AUTOSCALER, DCGM_EXPORTER, DEVICE_PLUGIN, install
from stack.clouds.aws.account import Account
from stack.clouds.aws.cluster import KubernetesCluster
from stack.clouds.aws.identity import PodIdentity, PodIdentityArgs
from stack.clouds.aws.nodes import GPU
from stack.clouds.aws.policies import allow
from stack.placement import Placement, platform_labels

# Source: Cluster Autoscaler on AWS, "Full Cluster Autoscaler Features Policy". These know no resources.
_LOOKING = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:GetInstanceTypesFromInstanceRequirements",
)
_SCALING = ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")


class NodeControllers(pulumi.ComponentResource):
    """In a namespace of their own, since they need rights that the platform's pods don't."""

    def __init__(self, name: str, account: Account, cluster: KubernetesCluster) -> None:
        super().__init__(
            "inference-platform:aws:NodeControllers",
            name,
            None,
            pulumi.ResourceOptions(providers=[cluster.contract.provider]),
        )
        self._settings = account.settings
        child = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": name, **platform_labels(pulumi.get_stack())}
        namespace = Namespace(
            name,
            metadata={"labels": labels},
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(cluster.contract.ready)),
        )
        self._namespace = namespace.metadata.name
        placement = Placement(self._namespace, pulumi.get_stack())
        identity = PodIdentity("autoscaler", PodIdentityArgs(account, cluster, placement, "autoscaler"))
        owned = {"aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true"}
        groups = f"arn:aws:autoscaling:{self._settings.region}:*:autoScalingGroup:*:autoScalingGroupName/eks-*"
        identity.may(
            "scaling",
            allow(_LOOKING, ["*"]),
            allow(
                _SCALING,
                [groups],
                {"StringEquals": {**owned, "aws:ResourceTag/eks:cluster-name": cluster.name}},
            ),
            allow(["eks:DescribeNodegroup"], [cluster.cluster.arn.apply(_node_groups)]),
        )
        install(
            CLUSTER_AUTOSCALER,
            self._settings,
            self._namespace,
            {
                "awsRegion": self._settings.region,
                "autoDiscovery": {"clusterName": cluster.name},
                "rbac": {"serviceAccount": {"create": False, "name": identity.service_account}},
                "automountServiceAccountToken": True,
                "extraArgs": {"balance-similar-node-groups": True, "skip-nodes-with-system-pods": False},
                "resources": {
                    "requests": {"cpu": "50m", "memory": "128Mi"},
                    "limits": {"cpu": "500m", "memory": "512Mi"},
                },
            },
            child,
        )
        if self._settings.gpu_node_size:
            self._gpu(child)
        self.register_outputs({})

    def _gpu(self, child: pulumi.ResourceOptions) -> None:
        values = {
            "nodeSelector": dict(GPU.selector),
            "tolerations": [{"key": GPU.taint, "operator": "Exists", "effect": "NoSchedule"}],
            # The chart looks for labels of a discovery that is not installed here.
            "affinity": {},
        }
        install(DEVICE_PLUGIN, self._settings, self._namespace, values, child)
        monitoring = {"serviceMonitor": {"enabled": False}}
        install(DCGM_EXPORTER, self._settings, self._namespace, {**values, **monitoring}, child)


def _node_groups(cluster_arn: str) -> str:
    return cluster_arn.replace(":cluster/", ":nodegroup/") + "/*"
