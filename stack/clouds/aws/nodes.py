"""The cluster's nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.aws.network import Network
from stack.clouds.aws.policies import service_role
from stack.clouds.contract import GpuNodes

_POOL = "inference-platform/pool"
GPU = GpuNodes(resource="nvidia.com/gpu", taint="nvidia.com/gpu", selector={_POOL: "gpu"})
_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
_DISK_GIB = 50
_GPU_DISK_GIB = 100  # images with CUDA have gigabytes


@dataclass(frozen=True, slots=True)
class NodeGroupsArgs:
    """Args of `NodeGroups`.

    Attributes:
        account: The account.
        network: Where nodes are.
        cluster: Whose nodes.
        after: What must be in the cluster before them.
    """

    account: Account
    network: Network
    cluster: aws.eks.Cluster
    after: Sequence[pulumi.Resource]


@dataclass(frozen=True, slots=True)
class _Pool:
    name: str
    size: str
    image: str
    disk_gib: int
    minimum: int
    maximum: int
    taint: str | None = None


class NodeGroups(pulumi.ComponentResource):
    """Managed groups of nodes in the private subnets: one for everything and, if so asked, one with GPUs.

    Attributes:
        groups: The groups.
        general: The one for everything.
    """

    def __init__(self, name: str, args: NodeGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:aws:NodeGroups", name, None, opts)
        self._args = args
        account, settings = args.account, args.account.settings
        self._role = service_role(
            f"{name}-nodes", "ec2.amazonaws.com", [account.managed_policy(policy) for policy in _POLICIES], self
        )
        self.general = self._group(
            _Pool(
                "general",
                settings.node_size,
                "AL2023_x86_64_STANDARD",
                _DISK_GIB,
                settings.nodes_min,
                settings.nodes_max,
            )
        )
        self.groups: list[pulumi.Resource] = [self.general]
        if settings.gpu_node_size:
            # The image has NVIDIA's driver and container toolkit; the device plugin is the platform's.
            gpu = _Pool(
                "gpu",
                settings.gpu_node_size,
                "AL2023_x86_64_NVIDIA",
                _GPU_DISK_GIB,
                settings.gpu_nodes_min,
                settings.gpu_nodes_max,
                taint=GPU.taint,
            )
            self.groups.append(self._group(gpu))
        self.register_outputs({})

    def _group(self, pool: _Pool) -> aws.eks.NodeGroup:
        template = self._template(pool.name, pool.disk_gib)
        return aws.eks.NodeGroup(
            pool.name,
            cluster_name=self._args.cluster.name,
            node_role_arn=self._role.arn,
            subnet_ids=[subnet.id for subnet in self._args.network.private],
            version=self._args.cluster.version,
            ami_type=pool.image,
            instance_types=[pool.size],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={"min_size": pool.minimum, "max_size": pool.maximum, "desired_size": pool.minimum},
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            labels={_POOL: pool.name},
            taints=[] if pool.taint is None else [{"key": pool.taint, "value": "", "effect": "NO_SCHEDULE"}],
            # How many there are is the autoscaler's.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(self._args.after), ignore_changes=["scalingConfig.desiredSize"]
            ),
        )

    def _template(self, pool: str, disk: int) -> aws.ec2.LaunchTemplate:
        tags = {**self._args.account.tags, "Name": f"inference-platform-{pulumi.get_stack()}-{pool}"}
        return aws.ec2.LaunchTemplate(
            pool,
            # A hop further are pods, which have identities of their own.
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "encrypted": "true",
                        "volume_size": disk,
                        "volume_type": "gp3",
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
            update_default_version=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
