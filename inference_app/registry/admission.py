"""What a model has to pass before it is served."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from inference_app.model import Model
from inference_app.registry.golden import check_golden
from inference_app.registry.signature import check_signature
from inference_app.registry.target import BrokenModelError

Load = Callable[[Path, str], Model]


class LoadObserver(Protocol):
    """Who wants to know how loading goes."""

    def loaded(self, name: str, version: str, sha256: str) -> None:
        """This version is served by default from now on."""
        ...

    def added(self, name: str, version: str) -> None:
        """This version is served, to those who name it, from now on."""
        ...

    def unloaded(self, name: str, version: str) -> None:
        """This version is no longer served."""
        ...

    def failed(self, name: str, version: str) -> None:
        """This version could not be fetched or loaded."""
        ...


def admit(file: Path, version: str, load: Load) -> Model:
    """Load a model file and check the model against what lies beside the file: golden cases, MLflow's signature.

    Args:
        file: The model file, verified.
        version: Its version.
        load: Makes a warmed-up model of a file, or raises.

    Raises:
        BrokenModelError: it does not load, or does not do as it should.
    """
    try:
        model = load(file, version)
    except Exception as error:
        # The runtime raises types of its own that share no base; whichever it is, the file does not work.
        raise BrokenModelError(f"it does not load: {type(error).__name__}: {error}") from error
    try:
        check_signature(file, model)
        check_golden(file, model)
    except BaseException:
        model.close()
        raise
    return model
