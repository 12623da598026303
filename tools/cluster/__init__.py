"""A Kubernetes cluster for the local stack: one that the user names, kind, or one node made from package registries."""
