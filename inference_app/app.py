"""The app factory: the only place where protocols, engine and registry meet."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from inference_app import SERVER, VERSION
from inference_app.access_log import AccessLog
from inference_app.cpus import available_cpus
from inference_app.engine import Engine, ServingSettings, SessionSettings
from inference_app.http.context import RequestContext
from inference_app.http.documentation import document
from inference_app.http.errors import handle_errors
from inference_app.http.inference import Inference
from inference_app.http.lane import lane
from inference_app.http.routes import (
    inference_routes,
    operations_routes,
    repository_routes,
    v1_routes,
    v2_routes,
    webhook_routes,
)
from inference_app.limits import BodyLimits
from inference_app.metrics import Metrics
from inference_app.model import Model, Models
from inference_app.pyfunc.host import PyfuncHost
from inference_app.pyfunc.model import PyfuncSettings
from inference_app.pyfunc.process import WorkerSettings
from inference_app.registry import Follower, RefusedWebhookError, WebhookVerifier, follow
from inference_app.rpc import GrpcServer, Record
from inference_app.settings import ModelSettings, Settings
from inference_app.traces import configured_tracer

DRAIN_SECONDS = 24  # with the notice before it, under the 30 s that Kubernetes grants by default
_STOP_SECONDS = 2  # for all followers to let go; what they were at is begun anew at the next start
_BODY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class App:
    """What an HTTP server runs.

    Attributes:
        asgi: The application, which answers everything.
        connection: The class of a connection, which answers inference by itself.
        drain: What to call when the HTTP server begins to shut down, so that gRPC does at the same time.
    """

    asgi: FastAPI
    connection: type[Any]
    drain: Callable[[], None]


def create_app(settings: Settings, models: Models) -> App:
    """Build the server.

    Args:
        settings: Everything that can be set.
        models: A slot for each model of the settings; whoever runs the server marks them as draining.

    Raises:
        OSError: the cache folder cannot be written.
        BrokenImageError: a model in the image is missing or broken.
        SettingsError: traces are wanted in a form that is not sent.
        ValueError: this build of the runtime lacks what the settings want.
    """
    metrics = Metrics(settings.execution_providers[0])
    engine = Engine(
        SessionSettings(settings.intra_op_threads, settings.execution_providers),
        slots=max(1, available_cpus() // settings.intra_op_threads),
        memory_budget=settings.memory_budget_bytes,
        observer=metrics,
    )
    pyfunc = _pyfunc_host(settings, metrics)
    followers = follow(
        settings.served_models,
        models,
        loader=lambda model: _pyfunc_loader(pyfunc, model) if pyfunc and model.is_pyfunc else _loader(engine, model),
        observer=metrics,
        cache_dir=settings.cache_dir,
        cache_bytes=settings.cache_bytes,
        poll_seconds=settings.poll_seconds,
        mlflow_url=str(settings.mlflow_url) if settings.mlflow_url is not None else None,
        mlflow_login=settings.mlflow_login,
    )
    limits = BodyLimits(settings.max_body_bytes, settings.max_pending_bytes, _BODY_SECONDS)
    access_log = AccessLog(settings.access_log_per_second)
    tracer = configured_tracer()
    inference = Inference(models, metrics, tracer)

    async def look_now(name: str) -> None:
        # Models of the image have no follower.
        looks = [asyncio.wrap_future(follower.look_now()) for follower in followers if follower.name == name]
        await asyncio.gather(*looks, return_exceptions=True)

    grpc = GrpcServer(
        models,
        address=(settings.host, settings.grpc_port),
        limits=limits,
        record=Record(metrics, access_log, tracer),
        look_now=look_now,
    )

    def drain() -> None:
        grpc.drain(DRAIN_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        for follower in followers:
            follower.start()
        await grpc.start()
        yield
        drain()
        await grpc.stop()
        _stop(followers)
        engine.close()
        if pyfunc is not None:
            pyfunc.close()
        if tracer is not None:
            tracer.close(_STOP_SECONDS)

    asgi = FastAPI(
        title=SERVER,
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # inference has its own, whichever way it comes
    )
    asgi.add_middleware(RequestContext, access_log=access_log)
    handle_errors(asgi)
    asgi.include_router(inference_routes(inference, limits))
    asgi.include_router(v1_routes(models))
    asgi.include_router(v2_routes(models))
    asgi.include_router(repository_routes(models, look_now, limits))
    asgi.include_router(operations_routes(models, metrics.exposition))
    if settings.webhook_secret is not None:
        receive = _receiver(WebhookVerifier(settings.webhook_secret.get_secret_value()), followers)
        asgi.include_router(webhook_routes(receive, limits))
    document(asgi)
    return App(asgi, lane(inference, limits, access_log), drain)


def _loader(engine: Engine, model: ModelSettings) -> Callable[[Path, str], Model]:
    serving = ServingSettings(
        max_batch_size=model.max_batch_size,
        batch_timeout=model.batch_timeout_micros / 1e6,
        max_enqueued_batches=model.max_enqueued_batches,
        priority=model.priority,
        response_cache_bytes=model.response_cache_bytes,
    )
    return lambda file, version: engine.load(file, model.name, version, serving)


def _pyfunc_host(settings: Settings, metrics: Metrics) -> PyfuncHost | None:
    if not any(model.is_pyfunc for model in settings.served_models):
        return None
    workers = WorkerSettings(settings.pyfunc_python, settings.intra_op_threads, settings.pyfunc_timeout_seconds)
    return PyfuncHost(workers, metrics)


def _pyfunc_loader(host: PyfuncHost, model: ModelSettings) -> Callable[[Path, str], Model]:
    serving = PyfuncSettings(model.max_batch_size, model.batch_timeout_micros / 1e6, model.max_enqueued_batches)
    return lambda file, version: host.load(file.parent, model.name, version, serving)


def _receiver(verifier: WebhookVerifier, followers: list[Follower]) -> Callable[[Mapping[str, str], bytes], str | None]:
    def receive(headers: Mapping[str, str], body: bytes) -> str | None:
        try:
            event = verifier.verify(headers, body, time.time())
        except RefusedWebhookError as refusal:
            return str(refusal)
        for follower in followers:
            if event.concerns(follower.uri):
                follower.look_now()
        return None

    return receive


def _stop(followers: list[Follower]) -> None:
    """Tell all before waiting for any: a source that hangs holds up each of its followers."""
    for follower in followers:
        follower.stop(0)
    deadline = time.monotonic() + _STOP_SECONDS
    for follower in followers:
        follower.stop(max(0.0, deadline - time.monotonic()))
