"""What pods are to AWS."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes.core.v1 import ServiceAccount

from stack.clouds.aws.account import Account
from stack.clouds.aws.cluster import KubernetesCluster
from stack.clouds.aws.policies import Statement, document, service_role
from stack.placement import Placement


@dataclass(frozen=True, slots=True)
class PodIdentityArgs:
    """Args of `PodIdentity`.

    Attributes:
        account: The account.
        cluster: Whose pods.
        placement: Where they are.
        client: What they are, such as `mlflow`.
    """

    account: Account
    cluster: KubernetesCluster
    placement: Placement
    client: str


class PodIdentity(pulumi.ComponentResource):
    """A role that pods of one service account have, and no others; at first it may do nothing.

    Attributes:
        service_account: The service account.
    """

    def __init__(self, name: str, args: PodIdentityArgs) -> None:
        providers: list[pulumi.ProviderResource] = [args.account.provider, args.cluster.contract.provider]
        options = pulumi.ResourceOptions(providers=providers)
        super().__init__("inference-platform:aws:PodIdentity", name, None, options)
        self._name = name
        child = pulumi.ResourceOptions(parent=self)
        app = args.placement.app(args.client, component="identity")
        account = ServiceAccount(name, metadata=app.metadata, automount_service_account_token=False, opts=child)
        self._role = service_role(
            name, "pods.eks.amazonaws.com", (), self, actions=("sts:AssumeRole", "sts:TagSession")
        )
        association = aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster.cluster.name,
            namespace=args.placement.namespace,
            service_account=account.metadata.name,
            role_arn=self._role.arn,
            opts=child,
        )
        self._ready: list[pulumi.Resource] = [association]
        self._account = account
        self.register_outputs({})

    def may(self, what: str, *statements: Statement) -> None:
        """Give it rights."""
        policy = aws.iam.RolePolicy(
            f"{self._name}-{what}",
            role=self._role.id,
            policy=document(*statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._ready.append(policy)

    @property
    def service_account(self) -> pulumi.Output[str]:
        """The service account's name, known once pods of it have the rights given so far."""
        waited = pulumi.Output.all(self._account.metadata.name, *(each.urn for each in self._ready))
        return waited.apply(lambda known: str(known[0]))
