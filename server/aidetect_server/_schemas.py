"""The forms of API v1: what requests are checked against, and what the OpenAPI document is made from."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from aidetect import Verdict
from aidetect._protocol import MAX_URL_LENGTH

from ._waiting import MAX_WAIT

MAX_BATCH = 100
CHECK_ID = "[0-9a-f]{32}"

URL = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_URL_LENGTH, strict=True),
    Field(
        description="An http or https address of an image.",
        # Told to clients; what is enforced is CheckRequest's own rule, with a code of its own.
        json_schema_extra={"pattern": "^https?://[!-~]+$"},
    ),
]
Sha256 = Annotated[
    str,
    StringConstraints(pattern="^[0-9a-f]{64}$", strict=True),
    Field(description="SHA-256 of the file's bytes, in hexadecimal."),
]
State = Literal["queued", "fetching", "analysing", "done", "failed"]
Seconds = Annotated[
    float,
    Field(0, ge=0, le=MAX_WAIT, allow_inf_nan=False, description="Seconds to wait for the verdict."),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CheckURL(_Request):
    """Check the image that a URL names; the server's workers fetch it."""

    url: URL
    fresh: Annotated[
        bool,
        Field(strict=True, description="Fetch again even where this URL's image is remembered."),
    ] = False


class CheckHash(_Request):
    """Ask for the verdict of an image that this key has sent before."""

    sha256: Sha256


class NewCheck(RootModel[CheckURL | CheckHash]):
    """A URL, or the SHA-256 of an image that was sent before."""


class NewBatch(_Request):
    urls: Annotated[list[URL], Field(min_length=1, max_length=MAX_BATCH)]


class CheckPath(BaseModel):
    id: Annotated[str, Field(pattern=f"^{CHECK_ID}$", description="The check's id.")]


class WaitQuery(_Request):
    wait: Seconds


class UploadQuery(_Request):
    wait: Seconds
    priority: Annotated[
        Literal["interactive", "bulk"], Field(description="Bulk waits until nobody else does.")
    ] = "interactive"


class PreferHeader(BaseModel):
    prefer: Annotated[
        str | None, Field(alias="Prefer", description="`wait=10` is the same as `?wait=10` (RFC 7240).")
    ] = None


class Problem(BaseModel):
    """What went wrong and what to do (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="One or two sentences for people: what to do.")]
    code: Annotated[str, Field(description="Stable, for programs.")]
    instance: Annotated[str | None, Field(description="The request's id.")] = None
    input: Annotated[str | None, Field(description="What it is about; untrusted text.")] = None
    retryable: Annotated[bool | None, Field(description="Whether the same may work later.")] = None


class Check(BaseModel):
    """One check: where it stands, and in the end a verdict or a problem."""

    id: Annotated[str, Field(pattern=f"^{CHECK_ID}$")]
    state: State
    position: Annotated[int | None, Field(ge=0, description="Checks before it in the queue.")]
    created_at: datetime
    verdict: Verdict | None
    signature: Annotated[
        str | None, Field(description="The verdict as a compact JWS; see /.well-known/jwks.json.")
    ]
    problem: Problem | None
    heatmap: Annotated[str | None, Field(description="Path of the heat map.")]


class Refused(BaseModel):
    """In a batch, the place of a URL for which no check was begun."""

    problem: Problem


class Batch(BaseModel):
    checks: list[Check | Refused]


class Limits(BaseModel):
    max_bytes: int
    max_pixels: int
    max_wait: float
    batch: int


class ServerModel(BaseModel):
    name: str
    version: str
    sha256: str


class Server(BaseModel):
    """What this server is, and what the asking key may do."""

    name: Literal["aidetect"]
    version: str
    model: ServerModel | None
    scopes: list[str]
    limits: Limits


class Health(BaseModel):
    status: Literal["ok"]


class Ready(BaseModel):
    ready: bool
    redis: bool
    workers: Annotated[int, Field(description="Live workers that have the fleet's model.")]
    detail: Annotated[str, Field(description="What is missing, and what to do.")]


Wire = dict[str, Any]
"""A JSON object on its way out, of one of the forms above."""
