"""The Kubernetes cluster."""

import json

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from stack.clouds.aws.account import Account
from stack.clouds.aws.network import Network
from stack.clouds.aws.nodes import GPU, NodeGroups, NodeGroupsArgs
from stack.clouds.aws.policies import allow, document, service_role
from stack.clouds.contract import Cluster

_LOG_DAYS = 90
# In the order in which nodes need them.
_BEFORE_NODES = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
_AFTER_NODES = ("coredns",)


class KubernetesCluster(pulumi.ComponentResource):
    """EKS with private nodes; people get in by access entries, pods get out by pod identities.

    Attributes:
        name: The cluster's name.
        security_group: The group of nodes and control plane.
        contract: What the platform needs of it.
        nodes: The groups of nodes.
    """

    def __init__(self, name: str, account: Account, network: Network) -> None:
        super().__init__("inference-platform:aws:KubernetesCluster", name, None, account.options)
        settings = account.settings
        self._child = pulumi.ResourceOptions(parent=self)
        # EKS logs to a group of this name, and would make one that keeps everything for ever.
        self.name = f"inference-platform-{pulumi.get_stack()}"
        log = aws.cloudwatch.LogGroup(
            name, name=f"/aws/eks/{self.name}/cluster", retention_in_days=_LOG_DAYS, opts=self._child
        )
        role = service_role(
            name,
            "eks.amazonaws.com",
            [account.managed_policy("AmazonEKSClusterPolicy")],
            self,
            ("sts:AssumeRole", "sts:TagSession"),
        )
        grant = aws.iam.RolePolicy(
            f"{name}-secrets",
            role=role.id,
            policy=document(
                allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant"], [account.key_arn])
            ),
            opts=self._child,
        )
        cluster = aws.eks.Cluster(
            name,
            name=self.name,
            role_arn=role.arn,
            version=settings.kubernetes_version,
            bootstrap_self_managed_addons=False,
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": True},
            enabled_cluster_log_types=["api", "audit", "authenticator", "controllerManager", "scheduler"],
            encryption_config={"provider": {"key_arn": account.key_arn}, "resources": ["secrets"]},
            upgrade_policy={"support_type": "STANDARD"},
            deletion_protection=settings.deletion_protection,
            vpc_config={
                "subnet_ids": [subnet.id for subnet in network.private],
                "endpoint_private_access": True,
                "endpoint_public_access": True,
                "public_access_cidrs": list(settings.api_networks),
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[log, grant, *network.routes]),
        )
        self.cluster = cluster
        self.security_group = cluster.vpc_config.cluster_security_group_id.apply(lambda known: known or "")
        self._administrators(account, cluster)
        before = [self._addon(name, addon, []) for addon in _BEFORE_NODES]
        self.nodes = NodeGroups(name, NodeGroupsArgs(account, network, cluster, before), self._child)
        after = [self._addon(name, addon, self.nodes.groups) for addon in _AFTER_NODES]
        provider = kubernetes.Provider(
            "cluster",
            kubeconfig=_kubeconfig(cluster, settings.region),
            enable_server_side_apply=True,
            opts=self._child,
        )
        self.contract = Cluster(
            provider,
            name=cluster.name,
            kubeconfig_path="kubeconfig.yaml",
            kubeconfig_command=pulumi.Output.concat(
                "aws eks update-kubeconfig --kubeconfig kubeconfig.yaml --region ",
                settings.region,
                " --name ",
                cluster.name,
            ),
            ready=[*self.nodes.groups, *before, *after],
            gpu=GPU if settings.gpu_node_size else None,
        )
        self.register_outputs({"name": self.name})

    def _administrators(self, account: Account, cluster: aws.eks.Cluster) -> None:
        for index, role in enumerate(account.settings.administrators):
            entry = aws.eks.AccessEntry(
                f"administrator-{index}", cluster_name=cluster.name, principal_arn=role, opts=self._child
            )
            aws.eks.AccessPolicyAssociation(
                f"administrator-{index}",
                cluster_name=cluster.name,
                principal_arn=entry.principal_arn,
                policy_arn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                access_scope={"type": "cluster"},
                opts=self._child,
            )

    def _addon(self, name: str, addon: str, after: list[pulumi.Resource]) -> pulumi.Resource:
        return aws.eks.Addon(
            f"{name}-{addon}",
            cluster_name=self.cluster.name,
            addon_name=addon,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )


def _kubeconfig(cluster: aws.eks.Cluster, region: str) -> pulumi.Output[str]:
    """A kubeconfig without credentials: each use asks for a token of 15 minutes."""

    def written(known: list[str]) -> str:
        name, endpoint, certificate = known
        command = {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
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
                "users": [{"name": "aws", "user": {"exec": command}}],
                "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "aws"}}],
            }
        )

    certificate = cluster.certificate_authority.data.apply(lambda data: data or "")
    return pulumi.Output.all(cluster.name, cluster.endpoint, certificate).apply(written)
