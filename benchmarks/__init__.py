"""Measurements of the project's figures, and of the server beside its peers. `make bench` runs them."""
