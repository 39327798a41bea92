"""Applications with settings other than those of the `app` that all tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask.testing import FlaskClient

from aidetect_server import create_app
from aidetect_server._service import EXTENSION
from aidetect_server._settings import ServerSettings


@contextmanager
def changed(settings: ServerSettings, **changes: object) -> Iterator[FlaskClient]:
    """A client, without a key, of an application of its own."""
    app = create_app(replace(settings, **changes))  # type: ignore[arg-type]
    yield app.test_client()
    app.extensions[EXTENSION].broker.close()
