"""`python3 -m tools COMMAND`: what the Makefile calls. See `make help`."""

import argparse
import json
import signal
import sys

from tools import bootstrap
from tools.console import fail
from tools.errors import ToolError


def main() -> int:
    """Run a command; errors are one shape, on standard error."""
    parser = argparse.ArgumentParser("tools", description="Bring the platform to this machine.")
    parser.add_argument("command", choices=["up", "down", "outputs"])
    command: str = parser.parse_args().command
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bootstrap.enter("tools")
        from tools.deployment import Deployment  # noqa: PLC0415 - needs the environment that `enter` makes

        deployment = Deployment.current()
        if command == "up":
            deployment.up()
        elif command == "down":
            deployment.down()
        else:
            print(json.dumps(deployment.outputs(), indent=2))
    except ToolError as error:
        fail(error)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run again to go on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
