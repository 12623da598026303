"""`python -m inference_app.fetch s3://BUCKET/.../model.onnx SHA256 FOLDER`: bring a model before the server starts.

The folder then is what a source `image:///FOLDER` serves: the server verifies it once more and never looks again.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference_app.registry.cache import Incoming
from inference_app.registry.layout import MODEL_FILE, SHA256, Choice
from inference_app.registry.s3 import S3Remote
from inference_app.registry.target import BrokenModelError, NoSuchModelError, SourceUnavailableError
from inference_app.registry.uri import S3Uri, parse_uri

_USAGE = f"python -m inference_app.fetch s3://BUCKET/.../{MODEL_FILE} SHA256 FOLDER"


def fetch(uri: str, sha256: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Download a model file and what lies beside it, and write its manifest last.

    Args:
        uri: Where the model file is.
        sha256: The SHA-256 of its content, in hexadecimal.
        folder: Where it goes.
        environment: Has S3's region, endpoint and credentials, as AWS_* variables.

    Raises:
        ValueError: the URI or the SHA-256 is none.
        NoSuchModelError: there is no such file.
        BrokenModelError: its content is another.
        SourceUnavailableError: the store cannot be asked.
        OSError: the folder cannot be written to.
    """
    place = parse_uri(uri.removesuffix(f"/{MODEL_FILE}"))
    if not isinstance(place, S3Uri) or not uri.endswith(f"/{MODEL_FILE}") or not SHA256.fullmatch(sha256):
        raise ValueError(_USAGE)
    version = place.prefix.rpartition("/")[2]
    remote = S3Remote("model", place.bucket, place.prefix, Choice(), environment=environment)
    try:
        target = remote.resolve().default
        arrived = Incoming(folder, lambda _bytes: None)
        remote.download(target, arrived, lambda: False)
    finally:
        remote.close()
    if arrived.files[MODEL_FILE] != sha256:
        raise BrokenModelError(f"{uri} has SHA-256 {arrived.files[MODEL_FILE]}, asked for is {sha256}")
    manifest = f'{{"version": "{version if version.isdecimal() else "1"}", "sha256": "{sha256}"}}'
    (folder / "manifest.json").write_text(manifest)


def main(arguments: Sequence[str]) -> int:
    """Fetch; returns the process's exit code."""
    try:
        uri, sha256, folder = arguments
        fetch(uri, sha256, Path(folder), os.environ)
    except (ValueError, OSError, NoSuchModelError, BrokenModelError, SourceUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
