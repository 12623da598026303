"""The load balancer: internal, or public by TLS where there is a domain."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.aws.network import Network
from stack.clouds.aws.nodes import NodeGroups
from stack.clouds.contract import Exposure

_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
_DRAIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ApplicationLoadBalancerArgs:
    """Args of `ApplicationLoadBalancer`.

    Attributes:
        account: The account.
        network: Where it is.
        nodes: The nodes it leads to.
        node_group: Their security group.
        services: Node port and path of the health check, by the name of each service.
    """

    account: Account
    network: Network
    nodes: NodeGroups
    node_group: pulumi.Input[str]
    services: Mapping[str, tuple[int, str]]


class ApplicationLoadBalancer(pulumi.ComponentResource):
    """One load balancer in front of the services' node ports.

    It is of the program, not of a controller in the cluster: so it is in every preview, needs no rights of a
    controller's, and is gone before the network it is in.
    """

    def __init__(self, name: str, args: ApplicationLoadBalancerArgs) -> None:
        super().__init__("inference-platform:aws:ApplicationLoadBalancer", name, None, args.account.options)
        self._args = args
        network = args.network
        self._name, self._settings, self._network = name, args.account.settings, network
        self._child = pulumi.ResourceOptions(parent=self)
        self._group = network.group(f"{name}-balancer", "Load balancer of the platform", self)
        self._balancer = aws.lb.LoadBalancer(
            name,
            load_balancer_type="application",
            internal=not self._settings.domain,
            subnets=[subnet.id for subnet in (network.public if self._settings.domain else network.private)],
            security_groups=[self._group.id],
            drop_invalid_header_fields=True,
            enable_deletion_protection=self._settings.deletion_protection,
            # Longer than the servers keep idle connections would lose requests: theirs is 75 s.
            idle_timeout=60,
            opts=pulumi.ResourceOptions(parent=self, depends_on=network.routes),
        )
        self._targets = {each: self._target(each, port, health) for each, (port, health) in args.services.items()}
        self._urls = self._public() if self._settings.domain else self._internal(args.services)
        self.register_outputs({})

    def exposure(self, name: str, node_port: int) -> Exposure:
        """The exposure of one of the services."""
        # A node port answers once a pod does, which the load balancer's own checks wait for.
        return Exposure(lambda _: self._urls[name], node_port=node_port, annotations={"pulumi.com/skipAwait": "true"})

    def _target(self, name: str, port: int, health: str) -> aws.lb.TargetGroup:
        nodes, node_group = self._args.nodes, self._args.node_group
        for direction, rule in (
            ("in", aws.vpc.SecurityGroupIngressRule),
            ("out", aws.vpc.SecurityGroupEgressRule),
        ):
            inwards = direction == "in"
            rule(
                f"{self._name}-{name}-{direction}",
                security_group_id=node_group if inwards else self._group.id,
                referenced_security_group_id=self._group.id if inwards else node_group,
                description=f"{name} from the load balancer" if inwards else f"{name} on the nodes",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                opts=self._child,
            )
        target = aws.lb.TargetGroup(
            name,
            port=port,
            protocol="HTTP",
            target_type="instance",
            vpc_id=self._network.vpc_id,
            deregistration_delay=_DRAIN_SECONDS,
            health_check={"path": health, "interval": 10, "timeout": 5, "healthy_threshold": 2, "matcher": "200"},
            opts=self._child,
        )
        aws.autoscaling.Attachment(
            name,
            autoscaling_group_name=nodes.general.resources[0].autoscaling_groups.apply(
                lambda groups: (groups and groups[0].name) or ""
            ),
            lb_target_group_arn=target.arn,
            opts=self._child,
        )
        return target

    def _allow(self, name: str, port: int, networks: tuple[str, ...]) -> None:
        for index, network in enumerate(networks):
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{name}-{index}",
                security_group_id=self._group.id,
                description=f"{name} from where clients are",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=network,
                opts=self._child,
            )

    def _internal(self, services: Mapping[str, tuple[int, str]]) -> dict[str, pulumi.Output[str]]:
        """A port each, in the VPC and for who is let in besides."""
        urls: dict[str, pulumi.Output[str]] = {}
        for index, name in enumerate(services):
            port = 80 + index
            self._allow(name, port, (self._network.range, *self._settings.allowed_networks))
            listener = aws.lb.Listener(
                name,
                load_balancer_arn=self._balancer.arn,
                port=port,
                protocol="HTTP",
                default_actions=[{"type": "forward", "target_group_arn": self._targets[name].arn}],
                opts=self._child,
            )
            urls[name] = pulumi.Output.all(self._balancer.dns_name, listener.port).apply(
                lambda known: f"http://{known[0]}:{known[1]}"
            )
        return urls

    def _public(self) -> dict[str, pulumi.Output[str]]:
        """A host each, by TLS; who asks without is sent on."""
        domain = self._settings.domain
        zone = aws.route53.get_zone_output(name=domain, opts=pulumi.InvokeOptions(parent=self))
        certificate = self._certificate(zone.zone_id)
        self._allow("https", 443, self._settings.allowed_networks)
        self._allow("http", 80, self._settings.allowed_networks)
        aws.lb.Listener(
            f"{self._name}-http",
            load_balancer_arn=self._balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[
                {"type": "redirect", "redirect": {"port": "443", "protocol": "HTTPS", "status_code": "HTTP_301"}}
            ],
            opts=self._child,
        )
        listener = aws.lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=self._balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=_TLS_POLICY,
            certificate_arn=certificate,
            default_actions=[
                {"type": "fixed-response", "fixed_response": {"content_type": "text/plain", "status_code": "404"}}
            ],
            opts=self._child,
        )
        return {
            name: self._host(name, f"{name}.{domain}", priority, zone.zone_id, listener)
            for priority, name in enumerate(self._targets, start=1)
        }

    def _host(
        self, name: str, host: str, priority: int, zone_id: pulumi.Input[str], listener: aws.lb.Listener
    ) -> pulumi.Output[str]:
        rule = aws.lb.ListenerRule(
            name,
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"host_header": {"values": [host]}}],
            actions=[{"type": "forward", "target_group_arn": self._targets[name].arn}],
            opts=self._child,
        )
        record = aws.route53.Record(
            name,
            zone_id=zone_id,
            name=host,
            type=aws.route53.RecordType.A,
            aliases=[
                {
                    "name": self._balancer.dns_name,
                    "zone_id": self._balancer.zone_id,
                    "evaluate_target_health": True,
                }
            ],
            opts=self._child,
        )
        return pulumi.Output.all(rule.id, record.id).apply(lambda _: f"https://{host}")

    def _certificate(self, zone_id: pulumi.Input[str]) -> pulumi.Output[str]:
        """A certificate that renews itself, as long as the record is there that shows whose the domain is."""
        certificate = aws.acm.Certificate(
            self._name,
            domain_name=f"*.{self._settings.domain}",
            validation_method="DNS",
            opts=self._child,
        )
        challenge = certificate.domain_validation_options[0]
        record = aws.route53.Record(
            f"{self._name}-certificate",
            zone_id=zone_id,
            name=challenge.resource_record_name.apply(lambda known: known or ""),
            type=challenge.resource_record_type.apply(lambda known: known or ""),
            records=[challenge.resource_record_value.apply(lambda known: known or "")],
            ttl=300,
            opts=self._child,
        )
        valid = aws.acm.CertificateValidation(
            self._name, certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn], opts=self._child
        )
        return valid.certificate_arn
