"""An emulated device without the words of its API in between: what a node reads and writes is the same, only faster."""

from ..drivers.emulator import EmulatorDriver
from ..emulator.world import World
from ..ports import DeviceData, Json


class DirectDriver(EmulatorDriver):
    """See Driver. Reads are calls; writes go the emulator's way, so that they can be looked at."""

    def __init__(self, unit_id: str, world: World) -> None:
        """A unit of `world` that has no faults."""
        super().__init__(unit_id, world.send)
        self._world = world
        self._unit = world.engine.index[unit_id]

    async def read(self) -> DeviceData:
        """See Driver; of the house only what sharing goes by."""
        self._world.catch_up()
        engine = self._world.engine
        percent = round(float(engine.energy_wh[self._unit] / engine.capacity_wh[self._unit]) * 100, 2)
        battery = {"rsoc": percent, "battery_operation_status": int(engine.permission[self._unit])}
        return DeviceData(self._world.device.reduced_converter(self._unit), battery)

    async def status(self) -> Json:
        """See Driver."""
        self._world.catch_up()
        converter = self._world.device.reduced_converter(self._unit)
        return {"status": converter["status"], "meter": converter["meter"]}
