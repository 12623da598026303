"""Managed Postgres."""

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.aws.network import Network
from stack.clouds.aws.policies import Statement, allow

PORT = 5432
USER = "mlflow"
_GROWTH = 5  # times the disk that it has at first


class ManagedDatabase(pulumi.ComponentResource):
    """A Postgres server with one database, for one security group; its password is RDS's own, and never here.

    Attributes:
        host: The host.
        secret_arn: The secret with user and password, which RDS renews every week.
    """

    def __init__(self, name: str, account: Account, network: Network, client_group: pulumi.Input[str]) -> None:
        super().__init__("inference-platform:aws:ManagedDatabase", name, None, account.options)
        settings = account.settings
        child = pulumi.ResourceOptions(parent=self)
        group = network.group(f"{name}-database", "Postgres of the platform", self)
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-database",
            security_group_id=group.id,
            description="Postgres from the platform's containers",
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            referenced_security_group_id=client_group,
            opts=child,
        )
        subnets = aws.rds.SubnetGroup(name, subnet_ids=[subnet.id for subnet in network.private], opts=child)
        parameters = aws.rds.ParameterGroup(
            name,
            family=f"postgres{settings.database_version}",
            parameters=[{"name": "rds.force_ssl", "value": "1"}],
            opts=child,
        )
        instance = aws.rds.Instance(
            name,
            engine="postgres",
            engine_version=settings.database_version,
            instance_class=settings.database_size,
            allocated_storage=settings.database_storage_gib,
            max_allocated_storage=settings.database_storage_gib * _GROWTH,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=account.key_arn,
            db_name=name,
            username=USER,
            port=PORT,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=account.key_arn,
            multi_az=settings.high_availability,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            parameter_group_name=parameters.name,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            backup_retention_period=settings.backup_days,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not settings.deletion_protection,
            deletion_protection=settings.deletion_protection,
            skip_final_snapshot=not settings.deletion_protection,
            final_snapshot_identifier=f"inference-platform-{pulumi.get_stack()}-{name}-final"
            if settings.deletion_protection
            else None,
            auto_minor_version_upgrade=True,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            # A minor version is RDS's to choose, and the disk grows.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["allocatedStorage"]),
        )
        self.host = instance.address
        self.secret_arn = instance.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn or "")
        self.variables: dict[str, pulumi.Input[str]] = {
            "PGUSER": USER,
            "PGSSLMODE": "verify-full",
            "DATABASE_SECRET": self.secret_arn,
            # Source: RDS User Guide, "Using SSL/TLS to encrypt a connection".
            "DATABASE_CA_URL": f"https://truststore.pki.rds.amazonaws.com/{settings.region}/{settings.region}-bundle.pem",
        }
        self.register_outputs({"host": self.host})

    def reading_secret(self, account: Account) -> list[Statement]:
        """The rights that a client needs to log in."""
        return [
            allow(["secretsmanager:GetSecretValue"], [self.secret_arn]),
            allow(["kms:Decrypt"], [account.key_arn]),
        ]
