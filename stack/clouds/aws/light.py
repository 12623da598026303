"""The map of AWS without Kubernetes: ECS Express Mode."""

import pulumi
import pulumi_aws as aws

from stack.catalog import catalog
from stack.clouds.aws.account import Account
from stack.clouds.aws.database import PORT, ManagedDatabase
from stack.clouds.aws.network import Network
from stack.clouds.aws.policies import Statement, allow, document, service_role
from stack.clouds.aws.registry import ContainerRegistry
from stack.clouds.aws.secrets import KeptSecrets
from stack.clouds.aws.storage import ArtifactBucket
from stack.clouds.contract import Access, Bucket, Container, Database, KeptSecret, LightSecret
from stack.components.credentials import new_password
from stack.settings import Settings

_LOG_DAYS = 30
_INFRASTRUCTURE = "service-role/AmazonECSInfrastructureRoleforExpressGatewayServices"
_EXECUTION = "service-role/AmazonECSTaskExecutionRolePolicy"


class AwsLight:
    """What the contract of light mode asks for, from AWS's services."""

    def __init__(self, settings: Settings) -> None:
        self._account = Account(settings)
        self._network = Network("platform", self._account)
        self._services = ExpressServices("platform", self._account, self._network)
        self.hosts = f"*.ecs.{settings.region}.on.aws"
        self.registry = ContainerRegistry("platform", self._account).contract

    def database(self, name: str) -> Database[LightSecret]:
        """A managed Postgres, for these containers only."""
        managed = ManagedDatabase(name, self._account, self._network, self._services.security_group)
        role = self._services.task_role(name)
        self._services.may(name, "database", *managed.reading_secret(self._account))
        return Database(managed.host, PORT, name, Access(managed.variables, identity=role))

    def bucket(self, name: str) -> Bucket[LightSecret]:
        """A bucket in S3."""
        bucket = ArtifactBucket(name, self._account)

        def access(client: str, writes: bool) -> Access[LightSecret]:
            role = self._services.task_role(client)
            self._services.may(client, "bucket", *bucket.rights(writes=writes))
            return Access(identity=role)

        return Bucket(bucket.name, bucket.endpoint, bucket.region, access)

    def secret(self, name: str) -> KeptSecret:
        """A password in Secrets Manager."""
        kept = KeptSecrets(name, self._account, {"value": new_password()})
        self._services.reads_secret(name, kept.arn)
        return KeptSecret(
            pulumi.Output.concat(kept.arn, ":value::"),
            pulumi.Output.secret(kept.entries.apply(lambda entries: entries["value"])),
        )

    def run(self, name: str, container: Container) -> pulumi.Output[str]:
        """An Express Mode service."""
        return self._services.run(name, container)


class ExpressServices(pulumi.ComponentResource):
    """ECS services with the load balancer, the certificate and the scaling that Express Mode gives them.

    In public subnets they are for everybody, in private ones for the VPC.

    Attributes:
        security_group: The group that the containers are in.
    """

    def __init__(self, name: str, account: Account, network: Network) -> None:
        super().__init__("inference-platform:aws:ExpressServices", name, None, account.options)
        self._name, self._account, self._network = name, account, network
        self._child = pulumi.ResourceOptions(parent=self)
        group = network.group(f"{name}-containers", "Containers of the platform", self)
        for direction, rule in (("in", aws.vpc.SecurityGroupIngressRule), ("out", aws.vpc.SecurityGroupEgressRule)):
            inwards = direction == "in"
            rule(
                f"{name}-containers-{direction}",
                security_group_id=group.id,
                description="Load balancers in the VPC" if inwards else "Registry, bucket, database, secrets",
                ip_protocol="-1",
                cidr_ipv4=network.range if inwards else "0.0.0.0/0",
                opts=self._child,
            )
        self.security_group = group.id
        self._cluster = aws.ecs.Cluster(
            name, settings=[{"name": "containerInsights", "value": "enabled"}], opts=self._child
        )
        self._infrastructure = service_role(
            f"{name}-infrastructure", "ecs.amazonaws.com", [account.managed_policy(_INFRASTRUCTURE)], self
        )
        self._execution = service_role(
            f"{name}-execution", "ecs-tasks.amazonaws.com", [account.managed_policy(_EXECUTION)], self
        )
        self._roles: dict[str, aws.iam.Role] = {}
        self._rights: list[pulumi.Resource] = []
        self.register_outputs({})

    def task_role(self, client: str) -> pulumi.Output[str]:
        """What a container runs as; at first it may do nothing."""
        if client not in self._roles:
            self._roles[client] = service_role(f"{client}-task", "ecs-tasks.amazonaws.com", (), self)
        return self._roles[client].arn

    def may(self, client: str, what: str, *statements: Statement) -> None:
        """Give a container rights."""
        self._policy(f"{client}-{what}", self._roles[client], *statements)

    def reads_secret(self, name: str, arn: pulumi.Input[str]) -> None:
        """Let ECS put a secret into containers."""
        self._policy(
            f"{name}-secret",
            self._execution,
            allow(["secretsmanager:GetSecretValue"], [arn]),
            allow(["kms:Decrypt"], [self._account.key_arn]),
        )

    def run(self, name: str, container: Container) -> pulumi.Output[str]:
        """Run a container; gives its URL."""
        settings = self._account.settings
        cpu, _, memory = catalog("aws").light[settings.light_size].size.partition("/")
        log = aws.cloudwatch.LogGroup(name, retention_in_days=_LOG_DAYS, opts=self._child)
        subnets = self._network.public if settings.allowed_networks else self._network.private
        # There is no run before a release here: the container itself does that first.
        first = ["--first", *container.release, "--"] if container.release else []
        primary: aws.ecs.ExpressGatewayServicePrimaryContainerArgsDict = {
            "image": container.image.ref,
            "container_port": container.port,
            "environments": [{"name": key, "value": value} for key, value in container.access.variables.items()],
            "secrets": [{"name": key, "value_from": arn} for key, arn in container.access.secrets.items()],
            "aws_logs_configurations": [{"log_group": log.name, "log_stream_prefix": name}],
        }
        if arguments := [*first, *container.arguments]:
            primary["commands"] = arguments
        service = aws.ecs.ExpressGatewayService(
            name,
            cluster=self._cluster.name,
            infrastructure_role_arn=self._infrastructure.arn,
            execution_role_arn=self._execution.arn,
            task_role_arn=container.access.identity,
            cpu=cpu,
            memory=memory,
            health_check_path=container.health_path,
            primary_container=primary,
            network_configurations=[
                {"subnets": [subnet.id for subnet in subnets], "security_groups": [self.security_group]}
            ],
            scaling_targets=[
                {
                    "min_task_count": container.replicas,
                    "max_task_count": container.replicas if container.release else 4 * container.replicas,
                    "auto_scaling_metric": "AVERAGE_CPU",
                    "auto_scaling_target_value": 60,
                }
            ],
            wait_for_steady_state=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*self._rights, *self._network.routes]),
        )
        return service.ingress_paths.apply(lambda paths: f"https://{paths[0].endpoint}")

    def _policy(self, name: str, role: aws.iam.Role, *statements: Statement) -> None:
        self._rights.append(aws.iam.RolePolicy(name, role=role.id, policy=document(*statements), opts=self._child))
