"""The private network."""

import pulumi
import pulumi_digitalocean as digitalocean

from stack.clouds.digitalocean.account import Account


class Network(pulumi.ComponentResource):
    """A VPC of the stack's own, in which cluster, database and load balancers are.

    Attributes:
        id: The VPC's id.
        ip_range: Its addresses.
    """

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:digitalocean:Network", name, None, account.options)
        # The account picks a range that no other network of it has.
        vpc = digitalocean.Vpc(
            name,
            region=account.settings.region,
            description=f"inference-platform, stack {pulumi.get_stack()}",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.id = vpc.id
        self.ip_range = vpc.ip_range
        self.register_outputs({"id": self.id})
