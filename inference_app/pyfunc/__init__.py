"""Models of any MLflow flavour, each version in a worker process of its own.

The server's side is `host`, `model`, `keeper` and `process`; the worker's is `worker` and `flavour`, the only modules
that import MLflow and the only ones that the server's process never imports. Both speak `wire`. Nothing is imported
here, for either side would get what only the other has.
"""
