"""The private network."""

import ipaddress
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.aws.policies import allow, document, service_role

ZONES = 3
_RANGE = ipaddress.IPv4Network("10.64.0.0/16")
_FLOW_LOG_DAYS = 30


class Network(pulumi.ComponentResource):
    """A VPC over three zones: nodes and data in private subnets, load balancers in public ones.

    Attributes:
        vpc_id: The VPC.
        range: Its addresses.
        public: The subnets with a way in.
        private: The subnets with a way out only.
        routes: What a way out takes to be there.
    """

    range = str(_RANGE)

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:aws:Network", name, None, account.options)
        self._name = name
        self._account = account
        self._child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=self.range,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": f"inference-platform-{pulumi.get_stack()}"},
            opts=self._child,
        )
        self.vpc_id = vpc.id
        # What names no security group gets this one, which lets nothing through.
        aws.ec2.DefaultSecurityGroup(name, vpc_id=vpc.id, opts=self._child)
        zones = aws.get_availability_zones_output(
            state="available",
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOptions(parent=self),
        ).names
        blocks = list(_RANGE.subnets(new_prefix=20))
        self.public = self._subnets("public", zones, blocks[:ZONES], "kubernetes.io/role/elb")
        # A /18 a zone: EKS gives every pod an address of the subnet.
        large = list(_RANGE.subnets(new_prefix=18))[1:]
        self.private = self._subnets("private", zones, large, "kubernetes.io/role/internal-elb")
        private_tables = self._route()
        self._endpoints(private_tables)
        self._log_flows()
        self.register_outputs({"vpcId": self.vpc_id})

    def group(self, name: str, description: str, parent: pulumi.Resource) -> aws.ec2.SecurityGroup:
        """A security group without rules."""
        return aws.ec2.SecurityGroup(
            name,
            vpc_id=self.vpc_id,
            description=description,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def _subnets(
        self, kind: str, zones: pulumi.Output[Sequence[str]], blocks: Sequence[ipaddress.IPv4Network], role: str
    ) -> list[aws.ec2.Subnet]:
        return [
            aws.ec2.Subnet(
                f"{self._name}-{kind}-{index}",
                vpc_id=self.vpc_id,
                availability_zone=zones[index],
                cidr_block=str(block),
                map_public_ip_on_launch=False,
                tags={"Name": f"inference-platform-{pulumi.get_stack()}-{kind}-{index}", role: "1"},
                opts=self._child,
            )
            for index, block in enumerate(blocks)
        ]

    def _route(self) -> list[aws.ec2.RouteTable]:
        gateway = aws.ec2.InternetGateway(self._name, vpc_id=self.vpc_id, opts=self._child)
        out = aws.ec2.RouteTable(f"{self._name}-public", vpc_id=self.vpc_id, opts=self._child)
        self.routes: list[pulumi.Resource] = [
            aws.ec2.Route(
                f"{self._name}-public",
                route_table_id=out.id,
                destination_cidr_block="0.0.0.0/0",
                gateway_id=gateway.id,
                opts=self._child,
            )
        ]
        for index, subnet in enumerate(self.public):
            self._associate(f"{self._name}-public-{index}", subnet, out)
        translators = [
            self._translator(index, gateway)
            for index in range(ZONES if self._account.settings.high_availability else 1)
        ]
        tables: list[aws.ec2.RouteTable] = []
        for index, subnet in enumerate(self.private):
            each = f"{self._name}-private-{index}"
            table = aws.ec2.RouteTable(each, vpc_id=self.vpc_id, opts=self._child)
            self.routes.append(
                aws.ec2.Route(
                    each,
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=translators[index % len(translators)].id,
                    opts=self._child,
                )
            )
            self._associate(each, subnet, table)
            tables.append(table)
        return tables

    def _associate(self, name: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable) -> None:
        self.routes.append(
            aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self._child)
        )

    def _translator(self, index: int, gateway: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        address = aws.ec2.Eip(
            f"{self._name}-nat-{index}",
            domain="vpc",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        return aws.ec2.NatGateway(
            f"{self._name}-{index}",
            allocation_id=address.allocation_id,
            subnet_id=self.public[index].id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )

    def _endpoints(self, tables: Sequence[aws.ec2.RouteTable]) -> None:
        """Images and models come from within AWS, not by the NAT gateways, which bill every byte."""
        region = self._account.settings.region
        group = self.group(f"{self._name}-endpoints", "Endpoints of AWS services in the VPC", self)
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints",
            security_group_id=group.id,
            description="HTTPS from the VPC",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=self.range,
            opts=self._child,
        )
        aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            opts=self._child,
        )
        for service in ("ecr.api", "ecr.dkr"):
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=[subnet.id for subnet in self.private],
                security_group_ids=[group.id],
                private_dns_enabled=True,
                opts=self._child,
            )

    def _log_flows(self) -> None:
        name = f"{self._name}-flows"
        group = aws.cloudwatch.LogGroup(name, retention_in_days=_FLOW_LOG_DAYS, opts=self._child)
        role = service_role(name, "vpc-flow-logs.amazonaws.com", (), self)
        actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        streams = pulumi.Output.concat(group.arn, ":log-stream:*")
        policy = aws.iam.RolePolicy(
            name, role=role.id, policy=document(allow(actions, [group.arn, streams])), opts=self._child
        )
        aws.ec2.FlowLog(
            self._name,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
