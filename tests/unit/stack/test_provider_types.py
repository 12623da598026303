"""Every input against the types that the providers publish."""

import pytest

from tests.unit.stack.support.published import problems
from tools.offline.graph import Graph


def test_providers_take_every_input(in_cloud: Graph) -> None:
    checked = [it for it in in_cloud.resources if it.type.startswith(("aws:", "digitalocean:", "random:"))]
    assert checked
    found = [f"{it.name}: {problem}" for it in checked for problem in problems(it.type, it.inputs)]
    assert found == []


@pytest.mark.parametrize(
    ("token", "inputs", "problem"),
    [
        ("aws:s3/bucket:Bucket", {"acl": "private"}, "aws:s3/bucket:Bucket.acl is deprecated"),
        ("aws:s3/bucket:Bucket", {"nosuch": 1}, "aws:s3/bucket:Bucket.nosuch is unknown to BucketArgs"),
        ("aws:s3/bucket:Bucket", {"forceDestroy": "yes"}, "Bucket.forceDestroy is 'yes', wanted is <class 'bool'>"),
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"bucket": "a"},
            "BucketVersioning.versioningConfiguration is missing",
        ),
        (
            "digitalocean:index/databaseFirewall:DatabaseFirewall",
            {"clusterId": "a", "rules": [{"type": "k8s"}]},
            "DatabaseFirewall.rules[0].value is missing",
        ),
    ],
)
def test_what_providers_do_not_take_is_found(token: str, inputs: dict[str, object], problem: str) -> None:
    (found,) = problems(token, inputs)
    assert found.endswith(problem)


def test_resources_that_are_given_up_are_found() -> None:
    with pytest.raises(AssertionError, match="EncryptionControl"):
        problems("aws:ec2/encryptionControl:EncryptionControl", {})
