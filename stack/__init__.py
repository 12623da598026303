"""The infrastructure. `stack.platform` is the map."""
