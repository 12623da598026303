"""The infrastructure. `stack.platform` is the map."""

import gc

# The SDKs' classes live as long as the program. Looking for garbage among them was a sixth of its start.
gc.set_threshold(100_000)
