"""The container registry."""

import json

import pulumi
import pulumi_aws as aws

from stack.clouds.aws.account import Account
from stack.clouds.contract import Login, Registry
from stack.components.image import CACHE_TAG

_KEPT_IMAGES = 30
_UNTAGGED_DAYS = 7


class ContainerRegistry(pulumi.ComponentResource):
    """The account's registry, with a repository for each image.

    Attributes:
        contract: What builds need of it.
    """

    def __init__(self, name: str, account: Account) -> None:
        super().__init__("inference-platform:aws:ContainerRegistry", name, None, account.options)
        self._account = account
        self._prefix = f"inference-platform/{pulumi.get_stack()}"
        # Good for 12 hours.
        token = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOptions(parent=self))
        host = token.proxy_endpoint.apply(lambda url: url.removeprefix("https://"))
        self.contract = Registry(
            prefix=pulumi.Output.concat(host, "/", self._prefix),
            repository=self._repository,
            login=Login(host, token.user_name, pulumi.Output.secret(token.password)),
            keeps_cache=True,
        )
        self.register_outputs({})

    def _repository(self, image: str) -> pulumi.Output[str]:
        repository = aws.ecr.Repository(
            image,
            name=f"{self._prefix}/{image}",
            image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
            image_tag_mutability_exclusion_filters=[{"filter": CACHE_TAG, "filter_type": "WILDCARD"}],
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": self._account.key_arn}],
            force_delete=not self._account.settings.deletion_protection,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.ecr.LifecyclePolicy(
            image, repository=repository.name, policy=_lifecycle(), opts=pulumi.ResourceOptions(parent=self)
        )
        return repository.id.apply(lambda _: image)


def _lifecycle() -> str:
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": _UNTAGGED_DAYS,
    }
    cache = {"tagStatus": "tagged", "tagPatternList": [CACHE_TAG], "countType": "imageCountMoreThan", "countNumber": 1}
    others = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": _KEPT_IMAGES}
    rules = [
        {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}
        for priority, selection in enumerate((untagged, cache, others), start=1)
    ]
    return json.dumps({"rules": rules})
