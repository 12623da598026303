"""The certificates with which libpq verifies the database's."""

import urllib.request
from collections.abc import MutableMapping
from pathlib import Path

_SECONDS = 30


def provide(environment: MutableMapping[str, str], folder: Path) -> None:
    """Write them where libpq looks, if the environment says which.

    Args:
        environment: Has DATABASE_CA_PEM or DATABASE_CA_URL, or neither; is given PGSSLROOTCERT.
        folder: A folder of this process's own.

    Raises:
        OSError: they cannot be had. Without them nothing is said to a database.
    """
    if url := environment.get("DATABASE_CA_URL"):
        if not url.startswith("https://"):
            raise OSError(f"DATABASE_CA_URL is {url!r}; what is not had by https:// proves nothing")
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - checked above
            pem = answer.read().decode()
    else:
        pem = environment.get("DATABASE_CA_PEM", "")
    if pem:
        file = folder / "database-ca.pem"
        file.write_text(pem)
        environment["PGSSLROOTCERT"] = str(file)
