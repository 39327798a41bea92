"""ONNX Runtime on the CPU, in float32."""

import os
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import ModelIntegrityError
from .._weights import ModelPackage


class OnnxBackend:
    """The graph and the weights it names are handed over from memory.

    Threads that wait for work sleep instead of spinning: no slower in `tests/bench/backends.py`,
    and the cores are free for decoding.
    """

    name = "onnx"
    device = "cpu"

    def __init__(self, package: ModelPackage, threads: int | None = None) -> None:
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers_from_files_in_memory(
            [package.weights_name], [package.weights], [len(package.weights)]
        )
        try:
            self._session = onnxruntime.InferenceSession(
                package.graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base but this
            raise ModelIntegrityError(
                f"ONNX Runtime cannot load model {package.manifest.name}: {error}; export it again"
            ) from error

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._session.run(["logits"], {"views": views})[0]
        return logits

    def logits_and_maps(
        self, views: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, maps = self._session.run(["logits", "maps"], {"views": views})
        return logits, maps


def runtime() -> Any:
    """The module `onnxruntime` with telemetry off: from version 1.29 on it reports its use to its
    maker unless this variable is set before. Whoever checks images here has not agreed to that."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    onnxruntime = import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()  # Windows, and where the caller had imported it before
    return onnxruntime
