"""A battery on a Modbus RTU line: its state of charge and whether it lets itself be used (hardware reference 2.5 and 3.8)."""

import asyncio
from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING

from ..model.errors import DriverError
from .serial_port import Direction, enable_rs485

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient

# Addresses in documents name the table (3: input registers) in their first digit and count from one.
FIRST_INPUT_REGISTER = 30001
DENIED_BIT = 1


class BatteryError(DriverError):
    """The battery does not answer, or says what cannot be."""


@dataclass(frozen=True, slots=True)
class Register:
    """One more value a battery offers: its address as in the maker's document (30001 and up), and what one count is worth."""

    name: str
    address: int
    scale: float = 1.0
    low: float = float("-inf")
    high: float = float("inf")
    signed: bool = False


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Where a battery keeps what. The state of charge counts in `charge_scale` percent."""

    charge_address: int = 30030
    status_address: int = 30031
    charge_scale: float = 0.1
    others: tuple[Register, ...] = ()


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """A battery at one moment: state of charge [%], whether sharing is permitted, and the other values by name."""

    state_of_charge_pct: float
    is_permitted: bool
    others: dict[str, float]


class ModbusBattery:
    """A battery's line; the port is opened when it is needed, and again when it has gone."""

    def __init__(
        self,
        port: str,
        baud_rate: int,
        *,
        unit: int = 1,
        registers: RegisterMap | None = None,
        timeout_s: float = 1.0,
        direction: Direction = Direction.ADAPTER,
    ) -> None:
        """`unit`: the battery's Modbus address."""
        self.name = port
        self._baud_rate = baud_rate
        self._unit = unit
        self._registers = registers or RegisterMap()
        self._timeout_s = timeout_s
        self._direction = direction
        self._client: AsyncModbusSerialClient | None = None

    async def read(self) -> BatteryReading:
        """What the battery says now.

        Raises:
            BatteryError: if it does not answer, refuses, or says what cannot be.

        """
        registers = self._registers
        if registers.status_address == registers.charge_address + 1:
            charge, status = await self._read(registers.charge_address, 2)
        else:
            (charge,) = await self._read(registers.charge_address, 1)
            (status,) = await self._read(registers.status_address, 1)
        charge_pct = round(charge * registers.charge_scale, 6)
        if not 0 <= charge_pct <= 100:
            raise BatteryError(f"{self.name}: the battery's state of charge is {charge_pct:g} %, expected 0 to 100")
        others = {}
        for register in registers.others:
            (raw,) = await self._read(register.address, 1)
            value = (raw - 0x10000 if register.signed and raw & 0x8000 else raw) * register.scale
            if not register.low <= value <= register.high:
                raise BatteryError(f"{self.name}: {register.name} is {value:g}, expected {register.low:g} to {register.high:g}")
            others[register.name] = value
        return BatteryReading(charge_pct, not status & DENIED_BIT, others)

    async def close(self) -> None:
        """Let go of the port."""
        if self._client is not None:
            self._client.close()
        self._client = None

    async def _read(self, address: int, count: int) -> list[int]:
        from pymodbus.exceptions import ModbusException

        try:
            client = await self._connected()
            answer = await client.read_input_registers(address - FIRST_INPUT_REGISTER, count=count, device_id=self._unit)
        except (ModbusException, OSError, TimeoutError) as error:
            # What is still on its way must not be taken for the next answer.
            await self.close()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # pymodbus makes a failed request of it; who is to end must not ask once more.
                raise asyncio.CancelledError from error
            raise BatteryError(f"{self.name}: {error}") from error
        if answer.isError() or len(answer.registers) != count:
            raise BatteryError(f"{self.name}: the battery answered {answer}, expected {count} registers from {address}")
        return list(answer.registers)

    async def _connected(self) -> AsyncModbusSerialClient:
        if self._client is not None and self._client.connected:
            return self._client
        from pymodbus.client import AsyncModbusSerialClient

        # It says each failure itself; so do we, once.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        await self.close()
        if self._direction is Direction.KERNEL:
            enable_rs485(self.name)
        self._client = AsyncModbusSerialClient(self.name, baudrate=self._baud_rate, timeout=self._timeout_s, retries=0, reconnect_delay=0)
        if not await self._client.connect():
            raise OSError("the port cannot be opened")
        return self._client
