"""Images, built from this repository."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_docker_build import Image as BuiltImage
from pulumi_docker_build import Platform


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """What all image builds have in common.

    Attributes:
        builder: A buildx builder; empty is the current one.
        platform: What to build for; empty is the builder's own.
        base_image: The image they begin with.
        pip_index_url: The Python package index; empty is pip's default.
        ca_bundle: The certificates with which downloads are verified, PEM; empty is the base image's own.
    """

    builder: str
    platform: str
    base_image: str
    pip_index_url: str
    ca_bundle: str


@dataclass(frozen=True, slots=True)
class ImageArgs:
    """Args of `Image`.

    Attributes:
        repository: The repository it is pushed to.
        tag: Its tag there.
        dockerfile: The Dockerfile's path in this repository, all of which is the context.
        environment: What it has in common with other builds.
    """

    repository: str
    tag: str
    dockerfile: str
    environment: BuildEnvironment


class Image(pulumi.ComponentResource):
    """An image in the registry.

    Attributes:
        ref: The repository and the digest. Without the tag, so that a new tag on the same content changes no pod.
    """

    ref: pulumi.Output[str]

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:images:Image", name, None, opts)
        environment = args.environment
        image = BuiltImage(
            name,
            push=True,
            tags=[f"{args.repository}:{args.tag}"],
            context={"location": "."},
            dockerfile={"location": args.dockerfile},
            build_args=_without_empty(
                {"BASE_IMAGE": environment.base_image, "PIP_INDEX_URL": environment.pip_index_url}
            ),
            # Not confidential, but as a secret it is in no layer and no history.
            secrets=pulumi.Output.secret(_without_empty({"ca-bundle": environment.ca_bundle})),
            builder={"name": environment.builder} if environment.builder else None,
            platforms=[Platform(environment.platform)] if environment.platform else None,
            build_on_preview=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ref = pulumi.Output.concat(args.repository, "@", image.digest)
        self.register_outputs({"ref": self.ref})


def _without_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}
