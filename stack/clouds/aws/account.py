"""What all of a stack's resources at AWS have in common."""

import pulumi
import pulumi_aws as aws

from stack.settings import Settings


class Account:
    """The account and the stack's place in it.

    Attributes:
        settings: What the user chose.
        provider: The provider of everything, which tags all that can be tagged.
        tags: The tags, for what only a resource of AWS itself makes.
        key_arn: The key that encrypts what the stack keeps.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tags = {
            "project": "inference-platform",
            "stack": pulumi.get_stack(),
            "owner": settings.owner,
            **({"expires": settings.expires} if settings.expires else {}),
        }
        self.provider = aws.Provider("aws", region=settings.region, default_tags={"tags": self.tags})
        # With the key's default policy, by which the account's IAM policies say who may use it.
        self._key = aws.kms.Key(
            "platform",
            description=f"inference-platform, stack {pulumi.get_stack()}",
            enable_key_rotation=True,
            deletion_window_in_days=30 if settings.deletion_protection else 7,
            opts=pulumi.ResourceOptions(provider=self.provider),
        )
        self.key_arn = self._key.arn

    @property
    def options(self) -> pulumi.ResourceOptions:
        """The options of a component of the account."""
        return pulumi.ResourceOptions(providers=[self.provider])

    def managed_policy(self, name: str) -> str:
        """The ARN of a policy that AWS keeps, by its path and name."""
        return f"arn:aws:iam::aws:policy/{name}"
