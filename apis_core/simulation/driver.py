"""An emulated device without the words of its API in between: what a node reads and writes is the same, only faster."""

from dataclasses import replace

from ..drivers.emulator import EmulatorDriver
from ..emulator.api import TEMPERATURE_C
from ..emulator.engine import MODES
from ..emulator.protection import HEAVY
from ..emulator.world import World
from ..model.converter import PERMISSIONS, AlarmState, Battery, Converter, Meter
from ..ports import DeviceData


class DirectDriver(EmulatorDriver):
    """See Driver. Reads are calls; writes go the emulator's way, so that they can be looked at."""

    def __init__(self, unit_id: str, world: World) -> None:
        """A unit of `world` that has no faults."""
        super().__init__(unit_id, world.send)
        self._capabilities = replace(self._capabilities, reads_at_once=True)
        self._world = world
        self._unit = world.engine.index[unit_id]
        self._seen: tuple[tuple[float, int], Converter] | None = None

    async def read(self) -> DeviceData:
        """See Driver; of the house only what sharing goes by."""
        converter = await self.status()
        engine, unit = self._world.engine, self._unit
        percent = round(engine.energy_wh.item(unit) / engine.capacity_wh.item(unit) * 100, 2)
        return DeviceData(converter, Battery(percent, PERMISSIONS[engine.permission.item(unit)]))

    async def status(self) -> Converter:
        """See Driver; with the digits of the emulator's answers. The very same while nothing has moved."""
        self._world.catch_up()
        moment = self._world.engine.elapsed_s, self._world.version
        if self._seen is None or self._seen[0] != moment:
            self._seen = moment, self._converter()
        return self._seen[1]

    def _converter(self) -> Converter:
        engine, unit = self._world.engine, self._unit
        mode = MODES[engine.mode.item(unit)]
        battery_v, battery_w = engine.battery_voltage_v.item(unit), engine.battery_power_w.item(unit)
        meter = Meter(
            round(engine.unit_voltage_v.item(unit), 3),
            round(engine.grid_current_a.item(unit), 6),
            round(engine.grid_power_w.item(unit), 3),
            battery_v,
            round(battery_w / battery_v, 2),
            round(battery_w, 3),
            TEMPERATURE_C,
        )
        alarm = AlarmState.HEAVY if engine.alarm.item(unit) & HEAVY else AlarmState.LIGHT
        target_v, droop_ratio, limit_a = (a.item(unit) for a in (engine.target_voltage_v, engine.droop_ratio, engine.current_limit_a))
        return Converter(mode.value, mode.operation_mode, alarm, meter, target_v, droop_ratio, limit_a)
