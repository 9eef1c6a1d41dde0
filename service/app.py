"""The composition root: builds every part of a process once, and differs by role in one `match`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from service.http_server import HttpServer
from service.inference.admission import Admission
from service.inference.catalogue import Catalogue
from service.inference.pipeline import Limits, Pipeline
from service.inference.refresh import CatalogueRefresher
from service.inference.service import InferenceService
from service.inference.tokens import TokenCounter
from service.inference.validation import Validator
from service.lifecycle import Gateway, warm_up
from service.observability.loop_lag import sample_loop_lag
from service.observability.metrics import Metrics
from service.openai_http.app import build_app
from service.operations import build_operations
from service.readiness import Readiness
from service.rpc.remote import RemoteInference, open_channel, watch_health
from service.rpc.server import GrpcServer
from service.stages import Stages
from service.tls import follow_files, server_context
from service.upstream.client import OneMinClient
from service.upstream.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.inference.api import InferenceApi
    from service.lifecycle import Server, Work
    from service.settings import Settings


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every part of every role stands on."""

    settings: Settings
    metrics: Metrics
    readiness: Readiness
    stages: Stages


@dataclass(frozen=True, slots=True)
class _Core:
    """The port, the work behind it, and how to let go of what it holds."""

    api: InferenceApi
    work: dict[str, Work]
    close: Callable[[], Awaitable[None]]


def build(settings: Settings) -> Gateway:
    """Build all parts of a process, within its running event loop; nothing is started.

    Raises:
        SettingsError: A file that a setting names cannot be used.
    """
    ground = _Ground(settings, Metrics(version("onemin-gateway")), Readiness(), Stages())
    work: dict[str, Work] = {"loop lag": partial(sample_loop_lag, ground.metrics)}
    match settings.role:
        case "all":
            core = _service(ground)
            doors = {**_http_door(core, ground, work), **_grpc_door(core, ground)}
        case "grpc":
            core = _service(ground)
            doors = _grpc_door(core, ground)
        case "http":
            core = _far_side(ground)
            doors = _http_door(core, ground, work)
    operations = build_operations(ground.metrics, ground.readiness)
    return Gateway(
        doors=doors,
        operations={"ops_port": HttpServer(operations, settings.host, settings.ops_port)},
        work={**core.work, **work},
        close=core.close,
        readiness=ground.readiness,
    )


def _service(ground: _Ground) -> _Core:
    settings, metrics = ground.settings, ground.metrics
    transport = Transport.from_settings(settings)
    client = OneMinClient(transport, metrics, retries=settings.retries)
    catalogue = Catalogue.shipped(allowed=settings.models, substitutes=settings.substitutes)
    tokens = TokenCounter()
    validator = Validator()
    service = InferenceService(client, catalogue, tokens, metrics, ground.stages)
    refresher = CatalogueRefresher(
        client.list_models, catalogue, metrics, settings.catalogue_refresh
    )
    warm_ups = (validator.warm, tokens.load)
    return _Core(
        api=_pipeline(service, ground, validator),
        work={
            "warm-up": partial(warm_up, ground.readiness, warm_ups),
            "catalogue refresh": refresher.run,
        },
        close=transport.aclose,
    )


def _far_side(ground: _Ground) -> _Core:
    channel = open_channel(ground.settings)
    return _Core(
        api=_pipeline(RemoteInference(channel), ground, validator=None),
        work={"health of the far side": partial(watch_health, channel, ground.readiness)},
        close=channel.close,
    )


def _pipeline(inner: InferenceApi, ground: _Ground, validator: Validator | None) -> Pipeline:
    settings = ground.settings
    return Pipeline(
        inner,
        limits=Limits(
            request_bytes=settings.max_body_bytes,
            total_seconds=settings.total_timeout,
            stream_seconds=settings.stream_timeout,
        ),
        admission=Admission(
            limit=settings.max_in_flight,
            limit_per_key=settings.max_in_flight_per_key,
            in_flight=ground.metrics.in_flight,
        ),
        readiness=ground.readiness,
        metrics=ground.metrics,
        validator=validator,
        stages=ground.stages,
    )


def _http_door(core: _Core, ground: _Ground, work: dict[str, Work]) -> dict[str, Server]:
    settings = ground.settings
    app = build_app(core.api, settings, ground.metrics, ground.readiness, ground.stages)
    context = server_context(settings)
    if context is not None:
        work["certificate files"] = partial(follow_files, context, settings)
    return {"http_port": HttpServer(app, settings.host, settings.http_port, context)}


def _grpc_door(core: _Core, ground: _Ground) -> dict[str, Server]:
    server = GrpcServer(core.api, ground.settings, ground.metrics, ground.readiness, ground.stages)
    return {"grpc_port": server}
