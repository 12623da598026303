"""SeaweedFS in a pod, for clusters without a managed S3."""

import json
from dataclasses import dataclass

import pulumi

from stack.components.credentials import Credentials, CredentialsArgs, new_password
from stack.components.pods import http_probe, pod_template, resources
from stack.components.stateful import DATA, stateful_server
from stack.placement import Placement

_DATA = "/data"
_ACCESS = "/etc/seaweedfs"
_USER = 1000  # `seaweed` in the official image


@dataclass(frozen=True, slots=True)
class ObjectStoreArgs:
    """Args of `ObjectStore`.

    Attributes:
        placement: Where it goes.
        image: An image whose program is `weed`, 4.0 or newer.
    """

    placement: Placement
    image: str


class ObjectStore(pulumi.ComponentResource):
    """An S3 store with one key, which may do everything; a bucket is there from the first upload to it.

    Attributes:
        endpoint: Its URL, as pods in the cluster see it.
        access_key: Where the key's id is.
        secret_key: Where the key is.
    """

    _PORT = 8333

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:data:ObjectStore", name, None, opts)
        app = args.placement.app("seaweedfs", component="object-store")
        credentials = Credentials(
            name, CredentialsArgs(app, _access(new_password(), new_password())), pulumi.ResourceOptions(parent=self)
        )
        self.access_key, self.secret_key = credentials.key("access-key"), credentials.key("secret-key")
        pod = pod_template(
            app,
            {
                "name": "seaweedfs",
                "image": args.image,
                "command": ["weed"],
                "args": [
                    "server",
                    f"-dir={_DATA}",
                    # All but S3 trusts whoever can connect.
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-filer",
                    "-s3",
                    "-s3.ip.bind=0.0.0.0",
                    f"-s3.port={self._PORT}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.port.lance=0",
                    f"-s3.config={_ACCESS}/s3.json",
                    "-s3.autoCreateBucket=true",
                    "-master.volumeSizeLimitMB=256",
                    "-master.telemetry=false",
                    "-volume.max=16",  # times the limit is 4 GiB, which the claim has room for
                    "-volume.preStopSeconds=1",
                ],
                "ports": [{"name": "http", "container_port": self._PORT}],
                "resources": resources(cpu="50m", cpu_limit="1", memory="128Mi", memory_limit="512Mi"),
                "startup_probe": http_probe("/healthz", period_seconds=2, failures=60),
                "liveness_probe": http_probe("/healthz", period_seconds=20, failures=3),
                "readiness_probe": http_probe("/healthz", period_seconds=5, failures=2),
            },
            user=_USER,
            writable={"/tmp": "64Mi"},  # noqa: S108 - a volume of the pod's own
            claims={_DATA: DATA},
            read_only={
                _ACCESS: {
                    "name": "access",
                    "secret": {
                        "secret_name": credentials.secret_name,
                        "items": [{"key": "s3.json", "path": "s3.json"}],
                    },
                }
            },
        )
        host = stateful_server(name, app, pod, port=self._PORT, parent=self)
        self.endpoint = pulumi.Output.concat("http://", host, f":{self._PORT}")
        self.register_outputs({"endpoint": self.endpoint})


def _access(access_key: str, secret_key: str) -> dict[str, str]:
    """A key, once for those who use it and once as SeaweedFS reads it."""
    identity = {
        "name": "platform",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    return {
        "access-key": access_key,
        "secret-key": secret_key,
        "s3.json": json.dumps({"identities": [identity]}),
    }
