"""A model as a folder, of any MLflow flavour: what is in it, and the list that its files are verified by."""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Mapping
from pathlib import Path

from model_publisher.client import MlflowException, Model
from model_publisher.errors import PublishError

SUMS_FILE = "SHA256SUMS"
_FLAVOUR = "python_function"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 in hexadecimal of every file in a model folder, by its path from there.

    Raises:
        PublishError: it is no folder that MLflow can serve, or has a link or a file that cannot be listed.
    """
    _check(folder)
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        if file.is_symlink() or not path.isprintable():
            what = f"{path!r} is a link or has a name that cannot be listed"
            raise _failure(folder, what, "put a plain file there")
        if file.is_file() and path != SUMS_FILE:
            found[path] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def sums(found: Mapping[str, str]) -> bytes:
    """The list of these digests, which `sha256sum --check` reads too (GNU coreutils manual, "md5sum invocation")."""
    return "".join(f"{digest}  {path}\n" for path, digest in found.items()).encode()


def _check(folder: Path) -> None:
    try:
        model = Model.load(str(folder))
    except MlflowException as error:
        raise _failure(folder, str(error), "give what a flavour's save_model wrote") from error
    if _FLAVOUR not in model.flavors:
        raise _failure(folder, f"it has no flavour {_FLAVOUR}", "save it with a flavour that has a predict function")
    if model.signature is None or not model.signature.inputs:
        remedy = "save it with signature=infer_signature(inputs, outputs) and with an input_example"
        raise _failure(folder, "it has no signature of inputs", remedy)


def _failure(folder: Path, what: str, remedy: str) -> PublishError:
    return PublishError(what, where=f"the model folder {folder}", remedy=remedy)
