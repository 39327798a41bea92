"""The application factory: puts the parts together, in the order in which a request meets them."""

from pathlib import Path

from flask import Flask
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from aidetect import ConfigurationError, ModelInfo
from aidetect_worker._broker import Broker

from . import _batch, _events  # noqa: F401  (they add routes to `checks`)
from ._bodies import Bodies, init_bodies
from ._checks import checks
from ._docs import init_docs
from ._guard import init_guard
from ._headers import init_headers
from ._health import gauges, health
from ._home import default_folder
from ._logs import init_logs
from ._metrics import init_metrics
from ._openapi import openapi_app
from ._page import page_blueprint
from ._pairing import Pairings, pairings_blueprint
from ._problems import init_problems
from ._records import Records
from ._reporting import reports_blueprint
from ._reports import ReportStore
from ._service import EXTENSION, Services
from ._settings import ServerSettings
from ._signing import Signer, jwks_blueprint
from ._uploads import uploads
from ._waiting import Slots


def create_app(settings: ServerSettings | None = None) -> Flask:
    """The server as a WSGI application, for gunicorn's gthread workers (docs/operating.md).

    `settings` default to those of the environment. Redis may be away: requests are answered 503 until
    it is there. Raises ConfigurationError and ModelError where the settings cannot be.
    """
    settings = settings or ServerSettings.from_environment()
    if not settings.secret:
        raise ConfigurationError(
            "AIDETECT_SECRET is not set: give server and workers the same 32 or more random characters, "
            "such as `openssl rand -hex 32` makes"
        )
    app = openapi_app("aidetect_server", static_folder=None)
    broker, model = _broker(settings)
    signer = Signer(
        Path(settings.signing_folder) if settings.signing_folder else default_folder() / "signing"
    )
    reports = ReportStore(broker.redis, settings)
    waiters, streams = Slots(settings.max_waiters), Slots(settings.max_streams)

    init_logs(app, settings.log_level)
    metrics = init_metrics(
        app,
        gauges(
            broker,
            waiters=("Requests that wait for an answer", lambda: waiters.held),
            streams=("Event streams", lambda: streams.held),
        ),
    )
    init_headers(app)
    init_problems(app)
    init_bodies(app)
    init_guard(app, settings, broker.redis)
    app.extensions[EXTENSION] = Services(
        settings=settings,
        broker=broker,
        model=model,
        records=Records(broker.redis, broker.cache_redis, settings.check_ttl),
        bodies=Bodies(settings.body_timeout),
        waiters=waiters,
        streams=streams,
        metrics=metrics,
        sign=signer.sign,
        reports=reports,
    )
    for blueprint in (
        health,
        checks,
        uploads,
        reports_blueprint(reports),
        pairings_blueprint(Pairings(broker.redis, settings.secret)),
        jwks_blueprint(signer),
    ):
        app.register_api(blueprint)
    app.register_blueprint(page_blueprint())
    init_docs(app)
    return app


def _broker(settings: ServerSettings) -> tuple[Broker, ModelInfo]:
    """With its model read, so that one that cannot be ends the start, and impatient: while Redis hangs,
    each request holds a thread, so that it is given up after one time-out. Its client asks again."""
    from aidetect._engine import fleet_model  # numpy

    fleet, model = fleet_model(settings.model or None, settings.views)
    broker = Broker(settings, fleet=fleet)
    for client in {broker.redis, broker.cache_redis}:
        client.set_retry(Retry(ConstantBackoff(0.1), 1, supported_errors=(ConnectionError,)))
    return broker, model
