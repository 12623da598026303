"""`make bench`: the server beside its peers (`serving`), then the platform's figures (`platform`); `soak` is apart."""

import sys

from benchmarks import platform_figures, soak
from benchmarks.serving import command
from tools.console import fail
from tools.errors import ToolError


def main(arguments: list[str]) -> int:
    """Exit code 1 if a target is missed or a figure is over its limit."""
    which, *options = arguments or ["all"]
    if which == "serving":
        return command.main(options)
    if which == "soak":
        return soak.main(options)
    if which == "platform" and not options:
        return platform_figures.main()
    if which == "all":
        return command.main([]) | platform_figures.main()
    sys.stderr.write("usage: python -m benchmarks [serving [OPTIONS] | platform | soak [--minutes N]]\n")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolError as error:
        fail(error)
        sys.exit(1)
