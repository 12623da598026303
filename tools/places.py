"""Where the tools keep things. Standard library only: the bootstrap needs it before there is an environment."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = REPOSITORY / ".venv"


def cache() -> Path:
    """What can be made again and is worth keeping: compiled programs, root file systems, build layers."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "inference-platform"


@dataclass(frozen=True)
class Home:
    """The folder of one deployment from this checkout: its state, its cluster, its log."""

    path: Path

    @classmethod
    def current(cls) -> "Home":
        """The home that the environment names, else `.local` in the repository."""
        return cls(Path(os.environ.get("PLATFORM_HOME") or REPOSITORY / ".local").resolve())

    @property
    def identity(self) -> str:
        """Eight characters that tell this home from every other on this machine: they name what it makes there."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:8]

    @property
    def cluster(self) -> Path:
        """The one-node cluster's data, certificates and logs."""
        return self.path / "cluster"

    @property
    def run(self) -> Path:
        """Sockets: outside the home, since a socket's path may be no longer than 107 bytes."""
        return Path("/run") / f"inference-platform-{self.identity}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig of the cluster that the tools made."""
        return self.path / "kubeconfig.yaml"

    @property
    def state(self) -> Path:
        """The file backend of Pulumi's state."""
        return self.path / "state"

    @property
    def project(self) -> Path:
        """The stacks' configuration on this machine, in a folder that the engine takes for a project."""
        return self.path / "project"

    @property
    def passphrase(self) -> Path:
        """The passphrase that encrypts the secrets in the state."""
        return self.path / "passphrase"

    @property
    def log(self) -> Path:
        """Everything that the steps printed."""
        return self.path / "log.txt"
