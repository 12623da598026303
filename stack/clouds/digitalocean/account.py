"""What all of a stack's resources at DigitalOcean have in common."""

import re

import pulumi
import pulumi_digitalocean as digitalocean

from stack.settings import Settings


class Account:
    """The account and the stack's place in it.

    Attributes:
        settings: What the user chose.
        provider: The provider of all but buckets; its token is in the environment, not in the state.
        tags: What marks the stack's resources, where they can be marked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.provider = digitalocean.Provider("digitalocean")
        self.tags = [_tag(tag) for tag in self._marks(settings)]

    @property
    def options(self) -> pulumi.ResourceOptions:
        """The options of a component of the account."""
        return pulumi.ResourceOptions(providers=[self.provider])

    def keeping_data(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """The options of what holds data."""
        return pulumi.ResourceOptions(parent=parent, protect=self.settings.deletion_protection)

    @staticmethod
    def _marks(settings: Settings) -> list[str]:
        marks = ["project:inference-platform", f"stack:{pulumi.get_stack()}", f"owner:{settings.owner}"]
        return [*marks, f"expires:{settings.expires}"] if settings.expires else marks


def _tag(text: str) -> str:
    """Source: DigitalOcean API, "Tags": letters, digits, colons, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9:_-]+", "-", text)
