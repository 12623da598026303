"""This repository's images, all built in the same way."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_docker_build as docker_build

from stack.clouds.contract import Registry
from stack.components.image import BuildEnvironment, Image, ImageArgs
from stack.settings import Settings


class Images:
    """Builds images into a registry."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._environment = BuildEnvironment(
            builder=settings.builder,
            platform=settings.platform,
            base_image=settings.python_image,
            pip_index_url=settings.pip_index_url,
            ca_bundle=Path(settings.ca_bundle).read_text() if settings.ca_bundle else "",
        )
        self._options = pulumi.ResourceOptions(providers=[docker_build.Provider("images")])

    def inference(self) -> Image:
        """The inference server, for GPUs or not, with the model in it or without."""
        settings = self._settings
        if settings.distroless:
            bases = {
                "DISTROLESS_IMAGE": settings.distroless_image,
                "DISTROLESS_BUILD_IMAGE": settings.distroless_build_image,
            }
            return self._build("inference", "inference_app/Dockerfile", "distroless", bases=bases)
        device = "gpu" if settings.inference_device == "gpu" else ""
        if settings.model_storage == "image":
            contexts = {"model": settings.model_folder}
            return self._build("inference", "inference_app/Dockerfile", f"{device or 'cpu'}-with-model", contexts)
        return self._build("inference", "inference_app/Dockerfile", device)

    def mlflow(self) -> Image:
        """The MLflow server."""
        return self._build("mlflow", "mlflow_server/Dockerfile")

    def publisher(self) -> Image:
        """The publisher's Job."""
        return self._build("publisher", "model_publisher/Dockerfile")

    def _build(
        self,
        name: str,
        dockerfile: str,
        target: str = "",
        contexts: Mapping[str, str] | None = None,
        bases: Mapping[str, str] | None = None,
    ) -> Image:
        args = ImageArgs(
            self._registry,
            self._settings.image_tag,
            dockerfile,
            self._environment,
            target=target,
            contexts=contexts or {},
            build_args=bases or {},
        )
        return Image(name, args, self._options)
