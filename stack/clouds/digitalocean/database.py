"""Managed Postgres."""

import pulumi
import pulumi_digitalocean as digitalocean

from stack.clouds.digitalocean.account import Account
from stack.clouds.digitalocean.network import Network

_POOL_CONNECTIONS = 15


class ManagedDatabase(pulumi.ComponentResource):
    """A Postgres cluster with one database, one user, and a pool of connections, reached in the VPC only.

    Attributes:
        host: The host, in the VPC.
        port: The pool's port.
        database: What the database is called there: the pool's name.
        user: The user.
        password: The user's password, a secret.
        certificate: The certificate of who signed the server's own, PEM.
        administrator: The URL with which the administrator connects to the database itself, without a password.
        administrator_password: The administrator's password, a secret.
    """

    def __init__(
        self, name: str, account: Account, network: Network, *, client_type: str, client: pulumi.Input[str]
    ) -> None:
        super().__init__("inference-platform:digitalocean:ManagedDatabase", name, None, account.options)
        settings = account.settings
        child = pulumi.ResourceOptions(parent=self)
        cluster = digitalocean.DatabaseCluster(
            name,
            engine="pg",
            version=settings.database_version,
            size=settings.database_size,
            node_count=2 if settings.high_availability else 1,
            region=settings.region,
            private_network_uuid=network.id,
            maintenance_windows=[{"day": "sunday", "hour": "04:00:00"}],
            tags=account.tags,
            opts=account.keeping_data(self),
        )
        firewall = digitalocean.DatabaseFirewall(
            name, cluster_id=cluster.id, rules=[{"type": client_type, "value": client}], opts=child
        )
        database = digitalocean.DatabaseDb(name, cluster_id=cluster.id, name=name, opts=account.keeping_data(self))
        user = digitalocean.DatabaseUser(name, cluster_id=cluster.id, name=name, opts=child)
        pool = digitalocean.DatabaseConnectionPool(
            name,
            cluster_id=cluster.id,
            mode="transaction",
            size=_POOL_CONNECTIONS,
            db_name=database.name,
            user=user.name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[firewall]),
        )
        self.host = cluster.private_host
        self.port = pool.port
        self.database = pool.name
        self.user = user.name
        self.password = pulumi.Output.secret(user.password)
        self.certificate = pulumi.Output.unsecret(
            digitalocean.get_database_ca_output(
                cluster_id=cluster.id, opts=pulumi.InvokeOptions(parent=self)
            ).certificate
        )
        self.administrator = pulumi.Output.concat(
            "postgresql+psycopg2://",
            cluster.user,
            "@",
            cluster.private_host,
            ":",
            cluster.port.apply(str),
            "/",
            database.name,
        )
        self.administrator_password = pulumi.Output.secret(cluster.password)
        self.register_outputs({"host": self.host})
