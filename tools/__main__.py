"""`python3 -m tools COMMAND`: what the Makefile calls. See `make help`."""

import argparse
import json
import os
import signal
import sys

from tools import bootstrap
from tools.console import fail
from tools.errors import ToolError


def main() -> int:
    """Run a command; errors are one shape, on standard error."""
    parser = argparse.ArgumentParser("tools", description="Bring the platform to this machine.")
    parser.add_argument("command", choices=["up", "down", "outputs", "preview", "smoke"])
    command: str = parser.parse_args().command
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bootstrap.enter("tools")
        from tools.deployment import Deployment  # noqa: PLC0415 - needs the environment that `enter` makes

        deployment = Deployment.current()
        match command:
            case "preview" if os.environ.get("OFFLINE"):
                from tools import preview  # noqa: PLC0415 - needs the program's libraries too

                print(preview.offline(deployment.stack, os.environ.get("FORMAT") or "text"))
            case "outputs":
                print(json.dumps(deployment.outputs(), indent=2))
            case _:
                getattr(deployment, command)()
    except ToolError as error:
        fail(error)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run again to go on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
