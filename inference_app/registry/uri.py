"""Sources as the settings write them."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class MlflowUri:
    """`models:/<model>@<alias>`, and `pyfunc:/<model>@<alias>` of a model that is no ONNX file."""

    model: str
    alias: str
    is_pyfunc: bool = False


@dataclass(frozen=True, slots=True)
class DirectoryUri:
    """`file:///<folder>`."""

    folder: Path


@dataclass(frozen=True, slots=True)
class S3Uri:
    """`s3://<bucket>/<prefix>`; the prefix without slashes at its ends, maybe empty."""

    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class ImageUri:
    """`image:///<folder>`."""

    folder: Path


def parse_uri(uri: str) -> MlflowUri | DirectoryUri | S3Uri | ImageUri:
    """What a source's URI says.

    Raises:
        ValueError: it has none of the known forms.
    """
    scheme, _, rest = uri.partition(":")
    match scheme:
        case "models" | "pyfunc":
            model, _, alias = rest.removeprefix("/").partition("@")
            return MlflowUri(model, alias, is_pyfunc=scheme == "pyfunc")
        case "file":
            return DirectoryUri(Path(unquote(rest.removeprefix("//"))))
        case "image":
            return ImageUri(Path(unquote(rest.removeprefix("//"))))
        case "s3":
            bucket, _, prefix = rest.removeprefix("//").partition("/")
            return S3Uri(bucket, prefix.strip("/"))
        case _:
            raise ValueError(f"{uri!r} is no source")
