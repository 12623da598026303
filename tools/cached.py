"""Say what this machine has of what takes long to make. Standard library only: it runs before everything else."""

from tools import bootstrap, engine, golang
from tools.cluster import images


def main() -> None:
    """One line a thing."""
    things = {
        "Python environment": bootstrap.is_current(),
        "Kubernetes": golang.KUBERNETES.is_made,
        "BuildKit": golang.BUILDKIT.is_made,
        "Pulumi engine and plugins": engine.is_made(),
        "root file system": images.root_file_system().is_dir(),
    }
    for thing, is_there in things.items():
        print(f"{thing}: {'cached' if is_there else 'to be made'}", flush=True)


if __name__ == "__main__":
    main()
