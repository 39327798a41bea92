"""What a worker shows to Prometheus. `docs/operating.md` lists it."""

import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """The metrics of one worker, in a registry of their own: a process may hold several workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.jobs = Counter(
            "aidetect_worker_jobs",
            "Jobs by how they ended: verdict, problem, failed, lost (to another worker), rescued",
            ["outcome"],
            registry=registry,
        )
        self.problems = Counter(
            "aidetect_worker_problems", "Checks without a verdict, by code", ["code"], registry=registry
        )
        self.hits = Counter(
            "aidetect_worker_cache_hits",
            "Checks answered from a cache: request (before fetching), unchanged (by a 304), bytes",
            ["at"],
            registry=registry,
        )
        self.batch = Histogram(
            "aidetect_worker_batch_images",
            "Images in one forward",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )
        self.queue_wait = self._seconds("queue_wait", "from being asked for to being begun")
        self.fetch = self._seconds("fetch", "of fetching an image")
        self.decode = self._seconds("decode", "of decoding an image")
        self.forward = self._seconds("forward", "of one forward")
        self.in_flight = Gauge("aidetect_worker_in_flight", "Checks that are begun", registry=registry)
        self.queue = Gauge(
            "aidetect_worker_queue_length", "Checks that wait in the queue", registry=registry
        )
        self.gpu_memory = Gauge(
            "aidetect_worker_gpu_memory_bytes", "Memory of the GPU that is allocated", registry=registry
        )

    def _seconds(self, name: str, what: str) -> Histogram:
        return Histogram(
            f"aidetect_worker_{name}_seconds", f"Seconds {what}", buckets=SECONDS, registry=self.registry
        )

    def see_gpu(self, device: str) -> None:
        """Notes the memory that PyTorch has allocated on a CUDA device; it is loaded then."""
        torch = sys.modules.get("torch")
        if torch is not None and device.startswith("cuda"):
            self.gpu_memory.set(torch.cuda.memory_allocated(device))

    def serve(self, host: str, port: int) -> None:
        """Shows them on `http://host:port/metrics`, from a thread of its own."""
        start_http_server(port, addr=host, registry=self.registry)
