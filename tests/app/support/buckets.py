"""A place of its own for each test in the S3 store, and what a process needs to reach it."""

from dataclasses import dataclass
from typing import Any

from tests.serving.support.object_store import ObjectStore


@dataclass(frozen=True)
class Place:
    """An empty part of a bucket.

    Attributes:
        bucket: The bucket's name.
        prefix: Where in it, with a slash at the end; empty for all of it.
        environment: The AWS_* variables that reach it.
        client: A boto3 client.
    """

    bucket: str
    prefix: str
    environment: dict[str, str]
    client: Any

    def uri(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{path}"

    def put(self, path: str, content: bytes, **metadata: str) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=content, Metadata=metadata)


def place_in(store: ObjectStore, prefix: str) -> Place:
    variables = {key: value for key, value in store.environment.items() if key.startswith("AWS_")}
    environment = {**variables, "AWS_ENDPOINT_URL": store.environment["MLFLOW_S3_ENDPOINT_URL"]}
    return Place(store.bucket, prefix, environment, store.client)
