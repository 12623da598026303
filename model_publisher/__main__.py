"""`python -m model_publisher`: train the example model and publish it."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

import orjson

from model_publisher.errors import PublishError
from model_publisher.published import PublishedVersion, find_published


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; prints the published version as one JSON line, or the error on standard error."""
    options = _parser().parse_args(arguments)
    try:
        version = find_published(options.mlflow_url, options.name, options.alias) if options.if_absent else None
        published = version or _train_and_publish(options)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "model_publisher", description="Train the breast cancer example and publish it at MLflow."
    )
    parser.add_argument("--mlflow-url", required=True, metavar="URL", help="MLflow's tracking server")
    parser.add_argument("--name", default="breast-cancer", help="the registered model (default: %(default)s)")
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
