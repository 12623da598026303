"""The images that a cluster without a hub needs before the stack builds its own, made from packages."""

import shutil
from pathlib import Path

from tools import debian
from tools.cluster.node import Node
from tools.console import Console
from tools.places import ENVIRONMENT, cache

DOCKERFILES = Path(__file__).parent.parent / "images"
RELEASE = "bookworm"
BASE_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


TAGS = {"pause": "1", "python": RELEASE, "postgres": RELEASE, "seaweedfs": RELEASE}


def references(node: Node) -> dict[str, str]:
    """Where each base image can be pulled from, by its name."""
    return {name: f"{node.registry}/{name}:{tag}" for name, tag in TAGS.items()}


def provide(node: Node, console: Console) -> None:
    """Build and push what the registry lacks.

    Raises:
        ToolError: a package could not be had, or a build failed.
    """
    contexts = {
        "pause": Path(node.program("pause")).parent,
        "python": _provide_root_file_system(console),
        "postgres": DOCKERFILES / "postgres",
        "seaweedfs": ENVIRONMENT / "bin",
    }
    for name, context in contexts.items():
        if not (node.data / "images" / name).exists():
            with console.step(f"image {name}"):
                _build(node, name, context, console)


def root_file_system() -> Path:
    """Where the base image's files are kept."""
    return cache() / f"root-{RELEASE}"


def _provide_root_file_system(console: Console) -> Path:
    """A folder with `root.tar`: Debian with Python, from its packages; apt's keys check them."""
    folder = root_file_system()
    if folder.is_dir():
        return folder
    with console.step(f"Debian {RELEASE} root file system (once)"):
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        console.run(
            [
                debian.find("debootstrap") or "debootstrap",
                "--variant=minbase",
                f"--include={BASE_PACKAGES}",
                RELEASE,
                part / "root",
            ],
            fix="check that Debian's packages can be reached, then run again",
        )
        shutil.rmtree(part / "root" / "var" / "cache" / "apt" / "archives")
        # What of a package is for reading, not for running.
        for unneeded in ("doc", "man", "locale", "info"):
            shutil.rmtree(part / "root" / "usr" / "share" / unneeded, ignore_errors=True)
        packing = ["tar", "--create", "--numeric-owner", "--directory", part / "root", "--file", part / "root.tar", "."]
        console.run(packing, fix="free some space, then run again")
        shutil.rmtree(part / "root")
        part.rename(folder)
    return folder


def _build(node: Node, name: str, context: Path, console: Console) -> None:
    console.run(
        [
            node.program("buildctl"),
            f"--addr=unix://{node.run}/buildkitd.sock",
            "build",
            "--progress=plain",
            "--frontend=dockerfile.v0",
            f"--local=context={context}",
            f"--local=dockerfile={DOCKERFILES / name}",
            f"--opt=build-arg:BASE_IMAGE={references(node)['python']}",
            f"--secret=id=ca-bundle,src={CA_BUNDLE}",
            f"--output=type=image,name={references(node)[name]},push=true,registry.insecure=true",
        ],
        fix=f"see {node.data / 'logs' / 'buildkitd.log'}, then run again",
    )
    (node.data / "images").mkdir(exist_ok=True)
    (node.data / "images" / name).touch()
