"""From settings to followers: the one place that knows every kind of source."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inference_app.model import Models
from inference_app.registry.admission import Load, LoadObserver
from inference_app.registry.cache import ModelCache
from inference_app.registry.directory import DirectorySource
from inference_app.registry.follower import Follower
from inference_app.registry.image import serve_image
from inference_app.registry.layout import Choice
from inference_app.registry.mlflow import MlflowRemote
from inference_app.registry.model_folder import ModelFolder
from inference_app.registry.onnx_file import OnnxFile
from inference_app.registry.s3 import S3Remote
from inference_app.registry.source import CachedSource, Source
from inference_app.registry.uri import DirectoryUri, ImageUri, MlflowUri, S3Uri, parse_uri
from inference_app.settings import ModelSettings


def follow(  # noqa: PLR0913 - what the settings have to say of it, by name
    wanted: Sequence[ModelSettings],
    models: Models,
    *,
    loader: Callable[[ModelSettings], Load],
    observer: LoadObserver,
    cache_dir: Path,
    cache_bytes: int,
    poll_seconds: float,
    mlflow_url: str | None,
    mlflow_login: tuple[str, str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> list[Follower]:
    """Serve what is baked into the image, and make a follower for every other model; start and stop them yourself.

    Args:
        wanted: The models to serve.
        models: Their slots.
        loader: Gives, for a model, what makes a warmed-up model of a file and its version, or raises.
        observer: Told of every outcome; called by many threads.
        cache_dir: The cache folder, made if absent; not touched where no model needs it.
        cache_bytes: Bytes that it may take.
        poll_seconds: Time between two looks at a source.
        mlflow_url: MLflow's URL; needed for sources `models:/...` and `pyfunc:/...`.
        mlflow_login: User and password there; None where it asks for none.
        environment: Where S3's region, endpoint and credentials are, as AWS_* variables.

    Returns:
        The followers; none for a model from the image, which never changes.

    Raises:
        BrokenImageError: a model in the image is missing or broken.
        OSError: the cache folder cannot be made.
        ValueError: a source is of no known form, or MLflow's URL is missing.
    """
    uris = [(each, parse_uri(each.source)) for each in wanted]
    slots = {slot.name: slot for slot in models}
    for each, uri in uris:
        if isinstance(uri, ImageUri):
            load = loader(each)
            serve_image(uri.folder, slots[each.name], load=load, observer=observer, variant=each.variant)
    followed = [(each, uri) for each, uri in uris if not isinstance(uri, ImageUri)]
    if not followed:
        return []
    mlflow = None if mlflow_url is None else (mlflow_url, mlflow_login)
    cache = ModelCache(cache_dir, cache_bytes, [each.name for each, _ in followed])
    return [
        Follower(
            _source(each, uri, cache, mlflow, environment),
            each.source,
            slot=slots[each.name],
            cache=cache,
            load=loader(each),
            observer=observer,
            poll_seconds=poll_seconds,
        )
        for each, uri in followed
    ]


def _source(
    model: ModelSettings,
    uri: MlflowUri | DirectoryUri | S3Uri,
    cache: ModelCache,
    mlflow: tuple[str, tuple[str, str] | None] | None,
    environment: Mapping[str, str],
) -> Source:
    choice = Choice(model.versions.latest, model.versions.specific, model.variant)
    match uri:
        case MlflowUri():
            if mlflow is None:
                raise ValueError(f"{model.source} needs MLflow's URL")
            content = ModelFolder() if uri.is_pyfunc else OnnxFile(model.variant)
            url, login = mlflow
            remote = MlflowRemote(
                model.name, url=url, registered=uri.model, alias=uri.alias, content=content, login=login
            )
            return CachedSource(remote, cache)
        case DirectoryUri():
            return DirectorySource(model.name, uri.folder, choice)
        case S3Uri():
            return CachedSource(S3Remote(model.name, uri.bucket, uri.prefix, choice, environment=environment), cache)
