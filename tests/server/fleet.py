"""A worker whose model costs milliseconds and counts as one of the fleet that the server asks for.

`rq worker -w fleet.FleetWorker checks`, with this folder and that of the worker's tests on the path.
"""

from stub import StubEngine, StubWorker

from aidetect._engine import Engine, fleet_fingerprint


class FleetEngine(StubEngine):
    def __init__(self) -> None:
        super().__init__()
        self.fingerprint = fleet_fingerprint()


class FleetWorker(StubWorker):
    def load_engine(self) -> Engine:
        return FleetEngine()
