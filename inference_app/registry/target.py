"""What a source wants served, and the ways in which it cannot be had."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A version of a model as its source describes it; whatever changes in it makes another target of the version.

    Attributes:
        name: The name it is served under; a folder in the cache.
        version: A decimal number.
        source: Where the source says the version lies.
        sha256: The promised SHA-256 of the model file in hexadecimal; None where nobody promised one.
        file: The model file's name.
        pin: What tells this content from later content of the same place where no SHA-256 is promised (an S3 ETag).
    """

    name: str
    version: str
    source: str
    sha256: str | None
    file: str = "model.onnx"
    pin: str = ""

    @property
    def key(self) -> str:
        """What names this content on disk: the version and the start of its SHA-256, or of its pin's."""
        return f"{self.version}-{(self.sha256 or hashlib.sha256(self.pin.encode()).hexdigest())[:12]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source wants served now.

    Attributes:
        default: The version for requests that name none.
        others: Versions to serve beside it, the most wanted first.
        missing: Versions that the settings ask for and the source does not have.
    """

    default: Target
    others: tuple[Target, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them, the default first."""
        return (self.default, *self.others)


class SourceUnavailableError(Exception):
    """The source did not answer, or not in time; worth another try."""


class NoSuchModelError(Exception):
    """The source answers, and has no such model, alias or version."""


class BrokenModelError(Exception):
    """This model version can never be served as it is; another try would end the same."""


class BrokenImageError(Exception):
    """A model baked into the image is missing or broken: no server can come of this image."""
