"""Load balancers: in the VPC, or public by TLS where there is a domain."""

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.core.v1.outputs import ServiceStatus

from stack.clouds.contract import Exposure, LoadBalancer
from stack.clouds.digitalocean.account import Account

# Source: digitalocean-cloud-controller-manager, "Service Annotations".
_PREFIX = "service.beta.kubernetes.io/do-loadbalancer-"
NAMES = ("inference", "mlflow")


class Exposures(pulumi.ComponentResource):
    """How the cluster's services are reached: a load balancer each, which the cluster makes and takes away."""

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:digitalocean:Exposures", name, None, account.options)
        self._settings = account.settings
        self._certificate = None
        if self._settings.domain:
            # It lives on while load balancers have its successor.
            self._certificate = digitalocean.Certificate(
                name,
                type="lets_encrypt",
                domains=[f"{each}.{self._settings.domain}" for each in NAMES],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def of(self, name: str, health_path: str) -> Exposure:
        """The exposure of one service.

        Args:
            name: Its name below the domain.
            health_path: What answers 200 while it is well.
        """
        common = {
            f"{_PREFIX}healthcheck-protocol": "http",
            f"{_PREFIX}healthcheck-path": health_path,
        }
        if self._certificate is None:
            balancer = LoadBalancer(
                ports={"http": 80},
                annotations={**common, f"{_PREFIX}network": "INTERNAL", f"{_PREFIX}protocol": "http"},
                sources=self._settings.allowed_networks,
            )
            return Exposure(lambda service: pulumi.Output.concat("http://", _address(service)), load_balancer=balancer)
        balancer = LoadBalancer(
            ports={"https": 443, "http": 80},
            annotations={
                **common,
                f"{_PREFIX}protocol": "http",
                f"{_PREFIX}tls-ports": "443",
                f"{_PREFIX}certificate-id": self._certificate.uuid,
                f"{_PREFIX}redirect-http-to-https": "true",
            },
            sources=self._settings.allowed_networks,
        )
        return Exposure(lambda service: self._named(name, service), load_balancer=balancer)

    def _named(self, name: str, service: Service) -> pulumi.Output[str]:
        record = digitalocean.DnsRecord(
            name,
            domain=self._settings.domain,
            type="A",
            name=name,
            value=_address(service),
            ttl=300,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return record.fqdn.apply(lambda host: f"https://{host}")


def _address(service: Service) -> pulumi.Output[str]:
    """A load balancer's address; Pulumi waits for a Service until it has one."""
    return service.status.apply(_first_address)


def _first_address(status: ServiceStatus | None) -> str:
    balancer = None if status is None else status.load_balancer
    addresses = (balancer.ingress if balancer else None) or []
    return (addresses[0].ip if addresses else None) or ""
