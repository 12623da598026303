"""Generated credentials."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from stack.clouds.contract import SecretKey
from stack.placement import App


@dataclass(frozen=True, slots=True)
class CredentialsArgs:
    """Args of `Credentials`.

    Attributes:
        app: Whose credentials these are.
        entries: What the Secret holds at first, by key.
    """

    app: App
    entries: Mapping[str, str]


class Credentials(pulumi.ComponentResource):
    """A Kubernetes Secret that keeps its first content: the program makes new passwords on every run, for nothing."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:security:Credentials", name, None, opts)
        # In the form that the API server keeps, so that a change is a change of content and nothing else.
        data = {key: base64.b64encode(value.encode()).decode() for key, value in args.entries.items()}
        secret = Secret(
            name,
            metadata=args.app.metadata,
            data=pulumi.Output.secret(data),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        self.secret_name = secret.metadata.name
        self.register_outputs({"secretName": self.secret_name})

    def key(self, key: str) -> SecretKey:
        """A reference to one of the entries."""
        return SecretKey(self.secret_name, key)


def new_password() -> str:
    """A password of 192 random bits, letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(24)
