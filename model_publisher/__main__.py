"""`python -m model_publisher`: publish a model folder, or train the example model and publish that."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from model_publisher.errors import PublishError
from model_publisher.published import PublishedVersion, find_published

_EXAMPLE = "breast-cancer"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; prints the published version as one JSON line, or the error on standard error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.folder is not None and options.name is None:
        parser.error("--folder needs --name")
    options.name = options.name or _EXAMPLE
    publish = _train_and_publish if options.folder is None else _publish_folder
    try:
        version = find_published(options.mlflow_url, options.name, options.alias) if options.if_absent else None
        published = version or publish(options)
    except PublishError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(orjson.dumps({**asdict(published), "created": version is None}).decode() + "\n")
    return 0


def _train_and_publish(options: argparse.Namespace) -> PublishedVersion:
    # Seconds of imports, which a look at the alias does without.
    from model_publisher.example import train  # noqa: PLC0415
    from model_publisher.publish import publish  # noqa: PLC0415

    example = train(options.seed)
    return publish(
        example.model,
        example.features,
        name=options.name,
        mlflow_url=options.mlflow_url,
        alias=options.alias,
        params=example.params,
        metrics=example.metrics,
    )


def _publish_folder(options: argparse.Namespace) -> PublishedVersion:
    from model_publisher.publish import publish_folder  # noqa: PLC0415

    return publish_folder(options.folder, name=options.name, mlflow_url=options.mlflow_url, alias=options.alias)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "model_publisher", description="Publish a model at MLflow; by default the breast cancer example, trained here."
    )
    parser.add_argument("--mlflow-url", required=True, metavar="URL", help="MLflow's tracking server")
    parser.add_argument("--name", help=f"the registered model (default: {_EXAMPLE}, the example)")
    parser.add_argument(
        "--folder", type=Path, help="publish what save_model of any MLflow flavour wrote here, to be served as pyfunc:/"
    )
    parser.add_argument(
        "--alias", default="production", help="the alias to point at the new version (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="chooses the rows held out of training (default: %(default)s)"
    )
    parser.add_argument("--if-absent", action="store_true", help="publish only if there is no such alias yet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
