"""The driver and the test devices as a person starts them."""

import json
import os
from pathlib import Path
import pty
import signal
import sys
import time
import types
from typing import Any
import urllib.request

import pytest

from apis_core.drivers.serial_port import Direction, enable_rs485, opener
from tests.test_processes import a_port, apis, emulator, running

from .test_in_the_loop import DRIVER_FILE

pytestmark = pytest.mark.alone


def asked(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read())


def test_devices_and_their_driver_from_the_command_line(tmp_path: Path) -> None:
    dev, port = tmp_path / "dev", a_port()
    (tmp_path / "driver.yml").write_text(DRIVER_FILE.format(folder=dev, unit="E001"))
    with emulator(1, 1) as emulated:
        devices = (
            "simulate-devices",
            "--emulator",
            f"http://127.0.0.1:{emulated}",
            "--folder",
            str(dev),
            "--fault",
            "E001:battery:silence@1+1",
        )
        with running(*devices, until="Ctrl-C"):
            with running("driver", "--config", str(tmp_path / "driver.yml"), "--port", str(port), until="Ctrl-C") as driver:
                end_s = time.monotonic() + 20
                # The battery falls silent for a second, on purpose: it is there again by itself.
                while asked(port, "/api/v1/health")["status"] != "good" or asked(port, "/all/get")["rsoc"] is None:
                    assert time.monotonic() < end_s
                    time.sleep(0.1)
                assert asked(port, "/all/get")["rsoc"] == pytest.approx(50, abs=0.2)
                assert asked(port, "/dcdc/set?mode=0x0014&dvg=350&dig=2&drg=0")["status"]["operationMode"] == "Grid Autonomy"
                told_s = time.monotonic()
                driver.send_signal(signal.SIGTERM)
                driver.wait(timeout=15)
                # A reference leaves four seconds after its line was told.
                assert 3.5 <= time.monotonic() - told_s <= 8
            assert asked(emulated, "/get/dcdc/status/E001")["status"]["operationMode"] == "Waiting"


def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    wrong = apis("driver", "--config", str(tmp_path / "none.yml"))
    assert wrong.returncode == 2
    assert "none.yml: found No such file" in wrong.stderr
    nobody = apis("simulate-devices", "--emulator", "http://127.0.0.1:9", "--folder", str(tmp_path))
    assert nobody.returncode == 1
    assert "http://127.0.0.1:9/get/unit/E001" in nobody.stderr


async def test_the_direction_of_a_line_that_cannot_be_switched_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"Inappropriate ioctl|Invalid argument|not supported"):
        enable_rs485("/dev/null")
    pins: list[Any] = []
    value = types.SimpleNamespace(ACTIVE="up", INACTIVE="down")

    class Request:
        def set_value(self, line: int, to: str) -> None:
            pins.append((line, to))

        def release(self) -> None:
            pins.append("released")

    line = types.SimpleNamespace(Value=value, Direction=types.SimpleNamespace(OUTPUT="output"))
    fake = types.SimpleNamespace(line=line, LineSettings=lambda **_: None, request_lines=lambda *_args, **_kwargs: Request())
    monkeypatch.setitem(sys.modules, "gpiod", fake)
    ours, theirs = pty.openpty()
    port = await opener(os.ttyname(theirs), 19200, Direction.GPIO, "/dev/gpiochip0:66")()
    await port.send(b"hello")
    assert os.read(ours, 16) == b"hello"
    assert pins == [(66, "up"), (66, "down")]
    port.close()
    assert pins[-1] == "released"
    with pytest.raises(OSError, match="nowhere"):
        await opener(str(tmp_path / "nowhere"), 19200, Direction.GPIO, "/dev/gpiochip0:66")()
    os.close(ours)
    os.close(theirs)
