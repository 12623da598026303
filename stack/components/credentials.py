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
        kept: What it holds by the cloud's own store, where that keeps them; the Secret follows it.
    """

    app: App
    entries: Mapping[str, pulumi.Input[str]]
    kept: pulumi.Output[Mapping[str, str]] | None = None


class Credentials(pulumi.ComponentResource):
    """A Kubernetes Secret that keeps its first content: the program makes new passwords on every run, for nothing."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:security:Credentials", name, None, opts)
        content: pulumi.Output[Mapping[str, str]] = args.kept or pulumi.Output.all(**args.entries)
        # In the form that the API server keeps, so that a change is a change of content and nothing else.
        data = content.apply(
            lambda entries: {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()}
        )
        secret = Secret(
            name,
            metadata=args.app.metadata,
            data=pulumi.Output.secret(data),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"] if args.kept is None else None),
        )
        self._data = secret.data
        self.secret_name = secret.metadata.name
        self.register_outputs({"secretName": self.secret_name})

    def key(self, key: str) -> SecretKey:
        """A reference to one of the entries."""
        return SecretKey(self.secret_name, key)

    def value(self, key: str) -> pulumi.Output[str]:
        """One of the entries itself, a secret."""
        return pulumi.Output.secret(self._data.apply(lambda data: base64.b64decode(data[key]).decode()))


def new_password() -> str:
    """A password of 192 random bits, letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(24)
