"""The app factory: the only place where protocols, engine and registry meet."""

import math
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from inference_app.engine import OnnxModel
from inference_app.http.context import RequestContext
from inference_app.http.errors import handle_errors
from inference_app.http.inference import Inference
from inference_app.http.routes import inference_routes, operations_routes
from inference_app.metrics import Metrics
from inference_app.model import Model, ModelSlot
from inference_app.registry import AliasWatcher, Following, MlflowRegistry, ModelCache
from inference_app.settings import Settings

_STOP_SECONDS = 2  # for the watcher to let go; what it was at is begun anew at the next start


def create_app(settings: Settings, slot: ModelSlot) -> FastAPI:
    """Build the server.

    Args:
        settings: Everything that can be set.
        slot: Where the served model will be; whoever runs the server marks it as draining.

    Raises:
        OSError: the cache folder cannot be written.
    """
    metrics = Metrics()
    workers = ThreadPoolExecutor(max(2, settings.intra_op_threads), thread_name_prefix="inference")
    watcher = AliasWatcher(
        Following(settings.model_name, settings.model_alias, settings.poll_seconds),
        registry=MlflowRegistry(str(settings.mlflow_url)),
        cache=ModelCache(settings.cache_dir, settings.model_name),
        load=_loader(settings.intra_op_threads),
        slot=slot,
        observer=metrics,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        watcher.start()
        yield
        watcher.stop(_STOP_SECONDS)
        workers.shutdown()

    app = FastAPI(title="Inference", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(RequestContext)
    handle_errors(app)
    inference = Inference(
        name=settings.model_name,
        slot=slot,
        workers=workers,
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        retry_after=math.ceil(settings.poll_seconds),
    )
    app.include_router(inference_routes(inference))
    app.include_router(operations_routes(inference))
    return app


def _loader(threads: int) -> Callable[[Path], Model]:
    def load(file: Path) -> Model:
        model = OnnxModel(file, threads)
        model.warm_up()
        return model

    return load
