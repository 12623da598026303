"""Bring the engine, a cluster and a Python environment to a machine. Nothing of the product imports this package."""
