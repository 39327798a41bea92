"""OpenVINO on the CPU: bfloat16 where the processor computes in it, else float32."""

import sys
from importlib import import_module
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._errors import ModelIntegrityError
from .._weights import ModelPackage
from ._inline import with_weights

Precision = Literal["auto", "f32", "bf16"]


class OpenVinoBackend:
    """One forward pass at a time, on all `threads`: calls of several threads queue up."""

    name = "openvino"
    device = "cpu"

    def __init__(
        self, package: ModelPackage, threads: int | None = None, precision: Precision = "auto"
    ) -> None:
        core = runtime().Core()
        if precision == "auto":
            native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if native else "f32"
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        graph = with_weights(package.graph, package.weights_name, package.weights)
        try:
            model = core.read_model(graph)
            self._request = core.compile_model(model, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise ModelIntegrityError(
                f"OpenVINO cannot load model {package.manifest.name}: {error}; export it again"
            ) from error
        self._channels = model.output("maps").get_partial_shape()[1].get_length()
        self._lock = Lock()

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(views):
            return np.empty((0, 2), np.float32)
        with self._lock:
            logits: NDArray[np.float32] = self._infer(views)["logits"].copy()
        return logits

    def logits_and_maps(
        self, views: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not len(views):
            return np.empty((0, 2), np.float32), np.empty((0, self._channels, 1, 1), np.float32)
        with self._lock:
            outputs = self._infer(views)
            return outputs["logits"].copy(), outputs["maps"].copy()

    def _infer(self, views: NDArray[np.uint8]) -> Any:
        """Both outputs in the request's own memory, which its next call overwrites."""
        return self._request.infer({"views": views}, share_outputs=True)


def runtime() -> Any:
    """The module `openvino` with telemetry off: where it can import `openvino_telemetry` it reports
    being imported to its maker. Whoever checks images here has not agreed to that."""
    if "openvino" in sys.modules or "openvino_telemetry" in sys.modules:
        return import_module("openvino")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules["openvino_telemetry"]
