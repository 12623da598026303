"""The routes, a module for each protocol and concern; all that FastAPI serves and documents."""

from inference_app.http.routes.inference import inference_routes
from inference_app.http.routes.operations import operations_routes, webhook_routes
from inference_app.http.routes.v1 import v1_routes
from inference_app.http.routes.v2 import repository_routes, v2_routes

__all__ = [
    "inference_routes",
    "operations_routes",
    "repository_routes",
    "v1_routes",
    "v2_routes",
    "webhook_routes",
]
