"""S3, the object storage."""

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.aws.policies import Statement, allow, document

_UNFINISHED_DAYS = 7
_OLD_VERSIONS_DAYS = 30


class ArtifactBucket(pulumi.ComponentResource):
    """A private, encrypted bucket with versions, by TLS only.

    Attributes:
        name: The bucket's name.
        endpoint: The store's URL.
        region: The region.
    """

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:aws:ArtifactBucket", name, None, account.options)
        self._account = account
        child = pulumi.ResourceOptions(parent=self)
        self._bucket = aws.s3.Bucket(name, force_destroy=not account.settings.deletion_protection, opts=child)
        bucket = self._bucket.bucket
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name, bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        versioning = aws.s3.BucketVersioning(
            name, bucket=bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": account.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket,
            rules=[
                {
                    "id": "old",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": _UNFINISHED_DAYS},
                    "noncurrent_version_expiration": {"noncurrent_days": _OLD_VERSIONS_DAYS},
                }
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        plain = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [self._bucket.arn, pulumi.Output.concat(self._bucket.arn, "/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        aws.s3.BucketPolicy(
            name,
            bucket=bucket,
            policy=document(plain),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )
        self.name = bucket
        self.region = account.settings.region
        self.endpoint = f"https://s3.{self.region}.amazonaws.com"
        self.register_outputs({"name": self.name})

    def rights(self, *, writes: bool) -> list[Statement]:
        """The rights that a client needs."""
        objects = ["s3:GetObject"] + (["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] if writes else [])
        keys = ["kms:Decrypt"] + (["kms:GenerateDataKey"] if writes else [])
        return [
            allow(["s3:ListBucket", "s3:GetBucketLocation"], [self._bucket.arn]),
            allow(objects, [pulumi.Output.concat(self._bucket.arn, "/*")]),
            allow(keys, [self._account.key_arn]),
        ]
