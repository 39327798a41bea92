"""`aidetect worker`: the worker for people, with its settings as options."""

import argparse
import dataclasses

from aidetect._cli._parsing import Commands
from aidetect._errors import ConfigurationError

from ._options import WorkerSettings

_DESCRIPTION = (
    "Checks images from the queue, many at a time. Settings come from the environment; an option counts "
    "more. End it with Ctrl-C: it finishes what it has begun."
)


def add_parser(commands: Commands) -> None:
    """An option for each setting of a worker, `--max-batch` for AIDETECT_MAX_BATCH."""
    parser = commands.add_parser("worker", help="check images from the queue", description=_DESCRIPTION)
    parser.add_argument("--redis", metavar="URL", help="queue to serve (AIDETECT_REDIS_URL)")
    parser.add_argument("--burst", action="store_true", help="end once the queue is empty")
    for each in dataclasses.fields(WorkerSettings):
        parser.add_argument(
            "--" + each.name.replace("_", "-"),
            metavar="VALUE",
            help=f"{each.metadata['help'].replace('%', '%%')} ({each.metadata['env']})",
        )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Works until it is told to end. Raises ConfigurationError, MissingExtraError or ModelError."""
    given = {each.name: getattr(options, each.name) for each in dataclasses.fields(WorkerSettings)}
    environ = {
        each.metadata["env"]: given[each.name]
        for each in dataclasses.fields(WorkerSettings)
        if given[each.name] is not None
    }
    import os

    settings = WorkerSettings.from_environment({**os.environ, **environ})

    from ._redis import UNAVAILABLE, connect
    from ._settings import QueueSettings
    from ._worker import BatchWorker

    queue = QueueSettings.from_environment()
    connection = connect(options.redis or queue.redis_url)
    try:
        connection.ping()
    except UNAVAILABLE as error:
        raise ConfigurationError(
            f"Redis does not answer ({type(error).__name__}). Start one, or name yours in "
            "AIDETECT_REDIS_URL."
        ) from None
    worker = BatchWorker(["checks"], settings=settings, connection=connection)
    worker.work(burst=options.burst, logging_level="WARNING")
    return 0
