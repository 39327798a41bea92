"""Whether the server lives, whether it can answer, what it is, and its figures."""

import json
from typing import Any

from flask import Response, g
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from aidetect import __version__
from aidetect._image import MAX_PIXELS
from aidetect._text import printable
from aidetect_worker._broker import Broker
from aidetect_worker._redis import UNAVAILABLE

from ._keys import require_key
from ._metrics import metrics_response
from ._openapi import SECURITY, answers, binary, operation_id, private
from ._schemas import MAX_BATCH, Health, Ready, Server, Wire
from ._service import services
from ._waiting import MAX_WAIT

health = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="server", description="The server itself")],
    operation_id_callback=operation_id,
)


@health.get("/healthz", responses=answers(_200=Health))
def healthz() -> Response:
    """The process answers. Asks nothing of Redis or the workers."""
    return _json({"status": "ok"})


@health.get("/readyz", responses={**answers(_200=Ready), "503": Ready})
def readyz() -> Response:
    """Checks can be answered: Redis is there, and a live worker that has the fleet's model."""
    found = readiness(services().broker)
    return _json(found, 200 if found["ready"] else 503)


@health.get("/metrics", security=SECURITY, responses=private(_200=binary("text/plain")))
@require_key("metrics")
def metrics() -> Response:
    """Figures in Prometheus's text format."""
    return metrics_response(services().metrics)


@health.get("/v1/server", security=SECURITY, responses=private(_200=Server))
@require_key(None)
def server() -> Response:
    """What this server is, and what the asking key may do."""
    here = services()
    return _json(
        {
            "name": "aidetect",
            "version": __version__,
            "model": {
                "name": here.model.name,
                "version": here.model.version,
                "sha256": here.model.sha256,
            },
            "scopes": sorted(g.key.scopes),
            "limits": {
                "max_bytes": here.settings.max_bytes,
                "max_pixels": MAX_PIXELS,
                "max_wait": MAX_WAIT,
                "batch": MAX_BATCH,
            },
        }
    )


def readiness(broker: Broker) -> Wire:
    """Redis, workers and model, and of what is missing the first thing, with what to do."""
    found: Wire = {"ready": False, "redis": False, "workers": 0, "detail": ""}
    try:
        broker.ping()
        workers = broker.workers()
    except UNAVAILABLE:
        found["detail"] = "Redis does not answer. Start it, or correct AIDETECT_REDIS_URL."
        return found
    fitting = [worker for worker in workers if worker.fingerprint == broker.fleet]
    others = sorted({f"{w.model} {w.version} ({w.fingerprint})" for w in workers if w not in fitting})
    found.update(redis=True, workers=len(fitting), ready=bool(fitting))
    wrong = (
        f"Workers with another model or other views: {printable(', '.join(others))}; this fleet is "
        f"{broker.fleet}. Set AIDETECT_MODEL and AIDETECT_VIEWS alike on server and workers."
    )
    if others:
        found["detail"] = wrong
    elif not fitting:
        found["detail"] = "No worker is alive. Start one with `aidetect worker`."
    return found


def gauges(broker: Broker, **more: Any) -> dict[str, Any]:
    """What `/metrics` reads when it is asked; NaN while Redis is away."""

    def safely(read: Any) -> Any:
        def value() -> float:
            try:
                return float(read())
            except UNAVAILABLE:
                return float("nan")

        return value

    return {
        "queue_length": ("Checks that wait", safely(broker.queue_length)),
        "live_workers": ("Workers that are alive", safely(lambda: len(broker.workers()))),
        "upload_bytes": ("Bytes of uploads that wait", safely(broker.uploads.waiting)),
        **more,
    }


def _json(body: Wire, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
