"""What a worker can be told: how it computes, and how much it does at a time."""

from dataclasses import dataclass

from aidetect._settings import Settings, setting


def _log_format(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError("give text or json")
    return text


@dataclass(frozen=True)
class WorkerSettings(Settings):
    """How one worker works."""

    device: str = setting(
        "auto", "AIDETECT_DEVICE", "where the model runs: `auto`, `cpu`, `cuda` or `cuda:1`"
    )
    backend: str = setting("auto", "AIDETECT_BACKEND", "`auto`, `onnx`, `openvino` or `torch`")
    threads: int = setting(
        0, "AIDETECT_THREADS", "threads of the model on a CPU; 0: as many as there are cores", least=0
    )
    max_batch: int = setting(
        0,
        "AIDETECT_MAX_BATCH",
        "images in one forward; 0: on a CPU 4, or 8 where the model weighs one view of each (more are "
        "hardly faster), 64 on a GPU",
        least=0,
        most=4096,
    )
    max_wait: float = setting(
        0.005,
        "AIDETECT_MAX_WAIT",
        "seconds that a decoded image waits, at most, for others to share its forward while the model "
        "is idle",
        least=0,
        most=10,
    )
    in_flight: int = setting(
        0,
        "AIDETECT_MAX_IN_FLIGHT",
        "checks that one worker has begun at a time; 0: on a CPU 32, or 4 batches, 128 on a GPU",
        least=0,
        most=4096,
    )
    decode_threads: int = setting(
        0,
        "AIDETECT_DECODE_THREADS",
        "images decoded at a time; 0: one for each core, 4 at most",
        least=0,
    )
    max_pixels: int = setting(50_000_000, "AIDETECT_MAX_PIXELS", "pixels of one image", least=1)
    max_memory: int = setting(
        1_000_000_000,
        "AIDETECT_MAX_MEMORY",
        "bytes of fetched files and of images being decoded that one worker holds at a time",
        least=1_000_000,
    )
    job_timeout: float = setting(
        60.0,
        "AIDETECT_JOB_TIMEOUT",
        "seconds that decoding an image or one forward may take before the worker is taken for hung and "
        "ends itself",
        least=1,
        most=3600,
    )
    metrics_port: int = setting(
        0,
        "AIDETECT_METRICS_PORT",
        "port on which a worker shows Prometheus metrics; 0: none",
        least=0,
        most=65535,
    )
    metrics_host: str = setting(
        "127.0.0.1", "AIDETECT_METRICS_HOST", "address of the metrics; they are not protected by a key"
    )
    log_format: str = setting(
        "text", "AIDETECT_LOG_FORMAT", "`text`, or `json` for one object a line", parse=_log_format
    )
