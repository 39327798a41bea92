"""Settings of the server, beside those that it shares with the workers."""

from dataclasses import dataclass

from aidetect._settings import setting
from aidetect_worker._settings import QueueSettings

from ._hosts import Hosts
from ._rates import Rate

LOG_LEVELS = ("debug", "info", "warning", "error")


def _level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"give one of {', '.join(LOG_LEVELS)}")
    return text.lower()


def _rate(text: str) -> str:
    return str(Rate.parse(text))


def _hosts(text: str) -> tuple[str, ...]:
    entries = tuple(part.strip() for part in text.split(",") if part.strip())
    Hosts.parse(entries)
    return entries


@dataclass(frozen=True)
class ServerSettings(QueueSettings):
    """What one server process allows and keeps."""

    max_bytes: int = setting(20_000_000, "AIDETECT_MAX_BYTES", "bytes of one image", least=1)
    body_timeout: float = setting(
        30.0,
        "AIDETECT_BODY_TIMEOUT",
        "seconds that a request's body may take to arrive",
        least=0.1,
        most=3600,
    )
    check_ttl: int = setting(
        3600,
        "AIDETECT_CHECK_TTL",
        "seconds for which a check can be read by its id",
        least=60,
        most=3600,
    )
    open_hashes: bool = setting(
        False,
        "AIDETECT_OPEN_HASHES",
        "1: a key may ask for the verdict of any SHA-256, also of an image that only others have sent",
    )
    max_waiters: int = setting(
        96,
        "AIDETECT_MAX_WAITERS",
        "requests of one process that may wait for an answer, each holding a thread; one key may hold "
        "half of them, and beyond that the answer is 202 at once",
        least=1,
    )
    max_streams: int = setting(
        16,
        "AIDETECT_MAX_STREAMS",
        "event streams of one process, each holding a thread; one key may hold half of them",
        least=1,
    )
    log_level: str = setting(
        "info", "AIDETECT_LOG_LEVEL", "what is logged: debug, info (a line a request), warning or error",
        parse=_level,
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = setting(
        ("localhost", "127.0.0.1", "[::1]"),
        "AIDETECT_ALLOWED_HOSTS",
        "names under which the server answers, as in the header Host, such as `example.org` (on any "
        "port) or `example.org:8443`; `*` for every name gives up the protection against DNS rebinding",
        parse=_hosts,
    )
    proxy_hops: int = setting(
        0,
        "AIDETECT_PROXY_HOPS",
        "reverse proxies in front, each appending to X-Forwarded-For; 0: that header is not believed",
        least=0,
        most=10,
    )
    key_limit: str = setting(
        "600/10 seconds",
        "AIDETECT_KEY_LIMIT",
        "requests of one key; a batch counts its URLs",
        parse=_rate,
    )
    address_limit: str = setting(
        "120/60 seconds",
        "AIDETECT_ADDRESS_LIMIT",
        "requests of one address (of IPv6: one /64) that come without a key",
        parse=_rate,
    )
    failure_limit: str = setting(
        "20/60 seconds",
        "AIDETECT_FAILURE_LIMIT",
        "wrong keys and pairing codes of one address that are told so, before it is sent away",
        parse=_rate,
    )
    signing_folder: str = setting(
        "",
        "AIDETECT_SIGNING_FOLDER",
        "where the key lies that signs verdicts, made at the first start; servers under one name share "
        "it; not set: `signing` in the folder of AIDETECT_HOME",
    )
    max_reports: int = setting(
        10_000, "AIDETECT_MAX_REPORTS", "reports of wrong verdicts that are kept", least=1
    )
    max_reports_per_key: int = setting(500, "AIDETECT_MAX_REPORTS_PER_KEY", "those of one key", least=1)
    max_report_bytes: int = setting(
        200_000_000, "AIDETECT_MAX_REPORT_BYTES", "bytes of images that came with reports", least=0
    )
