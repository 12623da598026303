"""Secrets Manager, the store of secrets."""

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account


class KeptSecrets(pulumi.ComponentResource):
    """Some secrets under one name: what they are at first is the program's, from then on the store's.

    Attributes:
        arn: The ARN of the one name.
        entries: What the store has.
    """

    def __init__(self, name: str, account: Account, entries: Mapping[str, str]) -> None:
        super().__init__("inference-platform:aws:KeptSecrets", name, None, account.options)
        secret = aws.secretsmanager.Secret(
            name,
            description=f"{name} of the inference platform, stack {pulumi.get_stack()}",
            kms_key_id=account.key_arn,
            recovery_window_in_days=30 if account.settings.deletion_protection else 0,
            opts=pulumi.ResourceOptions(parent=self),
        )
        first = aws.secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(json.dumps(entries)),
            # The program makes new ones on every run, for nothing.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["secretString"]),
        )
        current = aws.secretsmanager.get_secret_version_output(
            secret_id=first.secret_id, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[first])
        )
        self.arn = secret.arn
        self.entries: pulumi.Output[Mapping[str, str]] = pulumi.Output.secret(current.secret_string.apply(json.loads))
        self.register_outputs({"arn": self.arn})
