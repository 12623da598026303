"""Images, built from this repository."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_docker_build import BuildContextArgsDict, CacheMode, Platform
from pulumi_docker_build import Image as BuiltImage

from stack.clouds.contract import ImageRef, Registry


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
        registry: The registry it is pushed to.
        tag: Its tag there.
        dockerfile: The Dockerfile's path in this repository, all of which is the context.
        environment: What it has in common with other builds.
        target: The Dockerfile's stage; empty is the last.
        contexts: Folders of this repository that the Dockerfile takes files from, by the name it gives them.
        build_args: What the Dockerfile is told besides.
    """

    registry: Registry
    tag: str
    dockerfile: str
    environment: BuildEnvironment
    target: str = ""
    contexts: Mapping[str, str] = field(default_factory=dict[str, str])
    build_args: Mapping[str, str] = field(default_factory=dict[str, str])


# The one tag that moves: build layers, which no deployment names.
CACHE_TAG = "buildcache"


class Image(pulumi.ComponentResource):
    """An image in the registry.

    Attributes:
        repository: The repository, with the registry.
        digest: The digest.
        ref: Both. Without the tag, so that a new tag on the same content changes no pod.
    """

    repository: pulumi.Output[str]
    digest: pulumi.Output[str]
    ref: pulumi.Output[str]

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:images:Image", name, None, opts)
        environment = args.environment
        self.repository = pulumi.Output.concat(args.registry.prefix, "/", args.registry.repository(name))
        cache = pulumi.Output.concat(self.repository, ":", CACHE_TAG)
        login = args.registry.login
        image = BuiltImage(
            name,
            push=True,
            tags=[pulumi.Output.concat(self.repository, ":", args.tag)],
            context=_context(args.contexts),
            target=args.target or None,
            registries=None
            if login is None
            else [{"address": login.address, "username": login.username, "password": login.password}],
            cache_from=[{"registry": {"ref": cache}}] if args.registry.keeps_cache else None,
            cache_to=[
                # As an image: registries such as ECR take no other kind of cache.
                {"registry": {"ref": cache, "mode": CacheMode.MAX, "image_manifest": True, "oci_media_types": True}}
            ]
            if args.registry.keeps_cache
            else None,
            dockerfile={"location": args.dockerfile},
            build_args=_without_empty(
                {"BASE_IMAGE": environment.base_image, "PIP_INDEX_URL": environment.pip_index_url, **args.build_args}
            ),
            # Not confidential, but as a secret it is in no layer and no history.
            secrets=pulumi.Output.secret(_without_empty({"ca-bundle": environment.ca_bundle})),
            builder={"name": environment.builder} if environment.builder else None,
            platforms=[Platform(environment.platform)] if environment.platform else None,
            build_on_preview=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.digest = image.digest
        self._name = name
        self.ref = pulumi.Output.concat(self.repository, "@", image.digest)
        self.register_outputs({"ref": self.ref})

    @property
    def ref_by_name(self) -> ImageRef:
        """What a cloud's own service of containers finds it by."""
        return ImageRef(self._name, self.ref, self.digest)


def _context(named: Mapping[str, str]) -> BuildContextArgsDict:
    context: BuildContextArgsDict = {"location": "."}
    if named:
        context["named"] = {each: {"location": folder} for each, folder in named.items()}
    return context


def _without_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}
