"""Settings of what server and workers share: queue, caches, uploads, and how images are fetched."""

from dataclasses import dataclass

from aidetect._settings import Settings, setting

MIN_SECRET = 32


def _secret(text: str) -> str:
    if len(text) < MIN_SECRET:
        raise ValueError(
            f"{MIN_SECRET} characters are the least; `openssl rand -hex 32` makes a good one"
        )
    return text


@dataclass(frozen=True)
class QueueSettings(Settings):
    """Where queue and caches are, which fleet answers, and what may wait."""

    redis_url: str = setting(
        "redis://127.0.0.1:6379/0",
        "AIDETECT_REDIS_URL",
        "Redis of the queue, records, keys and waiting uploads: `redis://`, `rediss://` (TLS), "
        "`unix://` or "
        "`redis+sentinel://[user:password@]host:port,host:port/service/database`",
        secret=True,
    )
    cache_url: str = setting(
        "",
        "AIDETECT_CACHE_URL",
        "Redis of the verdict caches, which may forget; not set: that of the queue",
        secret=True,
    )
    secret: str = setting(
        "",
        "AIDETECT_SECRET",
        "at least 32 random characters, the same on server and workers: waiting uploads are encrypted "
        "with it",
        parse=_secret,
        secret=True,
    )
    model: str = setting(
        "", "AIDETECT_MODEL", "name or path of the fleet's model; not set: the shipped one"
    )
    views: str = setting(
        "default",
        "AIDETECT_VIEWS",
        "views of each image: `fast`, `default` or `thorough`; no difference with the shipped model, "
        "which gives crops no weight",
    )
    max_queue: int = setting(
        10_000,
        "AIDETECT_MAX_QUEUE",
        "checks that may wait; a tenth more where they are interactive",
        least=1,
    )
    max_upload_bytes: int = setting(
        1_000_000_000, "AIDETECT_MAX_UPLOAD_BYTES", "bytes of uploads that may wait in Redis", least=1
    )
    upload_ttl: int = setting(
        3600, "AIDETECT_UPLOAD_TTL", "seconds after which a waiting upload is given up", least=1
    )
    result_ttl: int = setting(
        30 * 86400, "AIDETECT_RESULT_TTL", "seconds that results are kept since they were made", least=1
    )
    url_ttl: int = setting(
        3600,
        "AIDETECT_URL_TTL",
        "seconds for which, at most, a URL is believed to still name the same image; its server can "
        "shorten them",
        least=0,
    )


@dataclass(frozen=True)
class FetchSettings(Settings):
    """How workers fetch what URLs name."""

    max_bytes: int = setting(20_000_000, "AIDETECT_MAX_BYTES", "bytes of one image", least=1)
    fetch_timeout: float = setting(
        20.0, "AIDETECT_FETCH_TIMEOUT", "seconds that one try to fetch may take", least=0.1, most=3600
    )
    fetch_deadline: float = setting(
        45.0,
        "AIDETECT_FETCH_DEADLINE",
        "seconds that all tries to fetch an image may take together, waiting for its host included",
        least=0.1,
        most=3600,
    )
    fetch_threads: int = setting(
        32, "AIDETECT_FETCH_THREADS", "downloads at a time in one worker", least=1, most=1024
    )
    host_connections: int = setting(
        6, "AIDETECT_HOST_CONNECTIONS", "downloads at a time from one host in one worker", least=1
    )
    user_agent: str = setting(
        "", "AIDETECT_USER_AGENT", "what fetches call themselves; not set: aidetect with its version"
    )
    allow_private: bool = setting(
        False,
        "AIDETECT_ALLOW_PRIVATE",
        "1: URLs may name hosts that are not on the public internet; never where strangers may ask",
    )
