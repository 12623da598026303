"""AWS: ECR, EKS, RDS and S3; ECS Express Mode in light mode. Read `cloud` first."""

from stack.clouds.aws.cloud import AwsCloud
from stack.clouds.aws.light import AwsLight
from stack.settings import Settings


def connect(settings: Settings) -> AwsCloud:
    """Everything in one VPC of the account that the AWS SDK's environment shows."""
    return AwsCloud(settings)


def connect_light(settings: Settings) -> AwsLight:
    """The same without Kubernetes."""
    return AwsLight(settings)
