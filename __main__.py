"""The Pulumi program: settings -> platform -> exports."""

import pulumi

from stack.cost import estimate
from stack.outputs import export
from stack.platform import build_platform
from stack.settings import load_settings

settings = load_settings()
cost = estimate(settings)
if cost is not None:
    pulumi.log.info(f"Estimated cost:\n{cost.table}")
export(build_platform(settings, stack=pulumi.get_stack()), "" if cost is None else cost.summary)
