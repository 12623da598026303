"""Spaces, the object storage."""

import pulumi
import pulumi_digitalocean as digitalocean

from stack.clouds.digitalocean.account import Account

_UNFINISHED_DAYS = 7
_OLD_VERSIONS_DAYS = 30


class Space(pulumi.ComponentResource):
    """A private bucket with versions.

    Buckets are made over S3, with a key that the API gives: it makes the provider that makes the bucket, and no pod
    has it. Every client gets a key of its own, for this bucket only.

    Attributes:
        name: The bucket's name.
        endpoint: The store's URL.
        region: The region.
    """

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:digitalocean:Space", name, None, account.options)
        settings = account.settings
        self._name = name
        bootstrap = digitalocean.SpacesKey(
            f"{name}-bootstrap",
            # No bucket is all buckets: this one has yet to be made.
            grants=[{"bucket": "", "permission": "fullaccess"}],
            opts=pulumi.ResourceOptions(parent=self),
        )
        spaces = digitalocean.Provider(
            "spaces",
            spaces_access_id=bootstrap.access_key,
            spaces_secret_key=pulumi.Output.secret(bootstrap.secret_key),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.region = settings.bucket_region or settings.region
        self.bucket = digitalocean.SpacesBucket(
            name,
            region=self.region,
            acl="private",
            versioning={"enabled": True},
            lifecycle_rules=[
                {
                    "id": "old",
                    "enabled": True,
                    "abort_incomplete_multipart_upload_days": _UNFINISHED_DAYS,
                    "noncurrent_version_expiration": {"days": _OLD_VERSIONS_DAYS},
                }
            ],
            force_destroy=not settings.deletion_protection,
            opts=pulumi.ResourceOptions(parent=self, provider=spaces, protect=settings.deletion_protection),
        )
        self.name = self.bucket.name
        self.endpoint = f"https://{self.region}.digitaloceanspaces.com"
        self.register_outputs({"name": self.name})

    def key(self, client: str, *, writes: bool) -> digitalocean.SpacesKey:
        """A key of a client's own."""
        return digitalocean.SpacesKey(
            f"{self._name}-{client}",
            grants=[{"bucket": self.name, "permission": "readwrite" if writes else "read"}],
            opts=pulumi.ResourceOptions(parent=self),
        )
