"""What an alias points at, and the ways in which it cannot be had."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A model version as MLflow describes it; a changed source or SHA-256 tag makes another target of the same version.

    Attributes:
        name: The registered model.
        version: Its version, a decimal number as MLflow writes it.
        source: Where MLflow says the version came from.
        sha256: The promised SHA-256 of `model.onnx` in hexadecimal; None where the version has no such tag.
    """

    name: str
    version: str
    source: str
    sha256: str | None


class RegistryUnavailableError(Exception):
    """The registry did not answer, or not in time; worth another try."""


class NoSuchAliasError(Exception):
    """The registry answers, and has no such model or alias."""


class BrokenModelError(Exception):
    """This model version can never be served as it is; another try would end the same."""
