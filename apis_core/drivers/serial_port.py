"""A serial port as a converter's line uses it, through `serialx`, the library Home Assistant itself uses."""

import asyncio
import contextlib
from enum import StrEnum
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Any, override

if TYPE_CHECKING:
    from collections.abc import Callable

# linux/serial.h: struct serial_rs485 and its ioctls.
TIOCSRS485 = 0x542F
SER_RS485_ENABLED, SER_RS485_RTS_ON_SEND = 1, 2
_RS485 = struct.Struct("=8I")


class Direction(StrEnum):
    """Who switches a two-wire line between sending and receiving."""

    ADAPTER = "adapter"
    KERNEL = "kernel"
    GPIO = "gpio"


def enable_rs485(path: str) -> None:
    """Let the kernel drive the direction of a port (its RTS is up while sending); it stays so until the port is set anew.

    Raises:
        OSError: if the port's own driver cannot.

    """
    file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(file, TIOCSRS485, _RS485.pack(SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND, 0, 0, 0, 0, 0, 0, 0))
    finally:
        os.close(file)


class GpioPin:
    """A pin that is up while sending, as on boards whose transceiver has no other hand; `/dev/gpiochip0:66` names it."""

    def __init__(self, name: str) -> None:
        """Take the pin, down. Raises OSError if it cannot be had."""
        import gpiod

        chip, _, line = name.rpartition(":")
        self._line = int(line)
        self._up, self._down = gpiod.line.Value.ACTIVE, gpiod.line.Value.INACTIVE
        settings = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=self._down)
        self._request = gpiod.request_lines(chip, consumer="apis", config={self._line: settings})

    def set(self, *, up: bool) -> None:
        """Up to send, down to listen."""
        self._request.set_value(self._line, self._up if up else self._down)

    def close(self) -> None:
        """Give it back."""
        self._request.release()


class _Receiver(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.arrived = asyncio.Event()
        self.lost: Exception | None = None

    @override
    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.arrived.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc or ConnectionResetError("the port was closed")
        self.arrived.set()


class SerialPort:
    """See eza2500.client.Port."""

    def __init__(self, transport: Any, receiver: _Receiver, pin: GpioPin | None) -> None:
        """Made by `opener`."""
        self._transport = transport
        self._receiver = receiver
        self._pin = pin

    async def send(self, data: bytes) -> None:
        """See Port."""
        self._check()
        if self._pin is None:
            self._transport.write(data)
            return
        self._pin.set(up=True)
        try:
            self._transport.write(data)
            await self._transport.flush()
            self._receiver.buffer.clear()
        finally:
            self._pin.set(up=False)

    async def receive(self) -> bytes:
        """See Port."""
        receiver = self._receiver
        while not receiver.buffer:
            self._check()
            receiver.arrived.clear()
            await receiver.arrived.wait()
        data = bytes(receiver.buffer)
        receiver.buffer.clear()
        return data

    def discard(self) -> None:
        """See Port."""
        self._receiver.buffer.clear()

    def close(self) -> None:
        """See Port."""
        self._transport.abort()
        if self._pin is not None:
            self._pin.close()

    def _check(self) -> None:
        if self._receiver.lost is not None:
            raise OSError(str(self._receiver.lost))


def opener(path: str, baud_rate: int, direction: Direction = Direction.ADAPTER, pin: str = "") -> Callable[[], Any]:
    """What opens a port, each time it is called: 8 data bits, no parity, 1 stop bit.

    The returned function raises OSError if the port is not there or is in use.
    """

    async def open_port() -> SerialPort:
        import serialx

        if direction is Direction.KERNEL:
            enable_rs485(path)
        taken = GpioPin(pin) if direction is Direction.GPIO else None
        try:
            receiver = _Receiver()
            transport, _ = await serialx.create_serial_connection(
                asyncio.get_running_loop(), lambda: receiver, path, baudrate=baud_rate, exclusive=True
            )
        except BaseException as error:
            if taken is not None:
                with contextlib.suppress(OSError):
                    taken.close()
            if isinstance(error, OSError) or not isinstance(error, Exception):
                raise
            raise OSError(str(error)) from error
        return SerialPort(transport, receiver, taken)

    return open_port
