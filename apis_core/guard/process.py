"""The guard: a process that writes to a node's converters for it, and puts them to wait when the node's word stops.

    python -I -S process.py SOCKET STATE

It speaks lines of JSON on a Unix socket, uses the standard library alone, is its own session, and outlives the node. It
ends when nobody has been connected for a while and every converter is off. Times are seconds of the machine's own clock
since its start, sleep included, which node and guard share.
"""

import sys

TYPE_CHECKING = False
if __name__ == "__main__":
    # Devices are reached by plain HTTP; TLS would be a quarter of the guard.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    sys.path.insert(0, __file__.rpartition("/")[0])
    import dead_man  # type: ignore[import-not-found]
else:
    from . import dead_man

import fcntl
import http.client
import json
import os
import queue
import selectors
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing import IO, Any

LONELY_S = 15.0
LEAVING_S = 4.0
DEVICE_TIMEOUT_S = 2.0
LONGEST_LINE = 65536


def now_s() -> float:
    """Seconds since the machine started, sleep included."""
    return float(time.clock_gettime(time.CLOCK_BOOTTIME))


def boot_id() -> str:
    """Which run of the machine this is: its seconds count from its beginning."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _locked(claim: dict[str, Any]) -> IO[str]:
    """A converter's lock, held: two guards would stop each other's deals."""
    lock = open(claim["lock"], "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        found = f"{claim['base']}: another guard watches over {claim['unit']}"
        raise OSError(f"{found}; it lets go {LONELY_S:g} s after its own program has ended and the converter is off") from None
    return lock


class Device:
    """How a converter is reached: what puts it to wait, what asks for its mode, and what its answers show."""

    def __init__(self, claim: dict[str, Any], lock: IO[str]) -> None:
        self.base = urlsplit(claim["base"])
        self.wait = claim["wait"]
        self.status = claim["status"]
        self.waiting = claim["waiting"]
        self.lock = lock
        self.jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def is_as(self, claim: dict[str, Any]) -> bool:
        """Whether a claim is for the same device at the same place."""
        return bool(self.base == urlsplit(claim["base"]) and self.status == claim["status"])

    def ask(self, request: dict[str, Any], timeout_s: float) -> tuple[int, str]:
        """One request; the answer's status and text. Raises OSError or http.client.HTTPException."""
        connection = http.client.HTTPConnection(self.base.hostname or "", self.base.port or 80, timeout=timeout_s)
        try:
            connection.request(request["method"], self.base.path + request["path"])
            answer = connection.getresponse()
            return answer.status, answer.read(LONGEST_LINE).decode("utf-8", "replace")
        finally:
            connection.close()

    def is_waiting(self, text: str) -> bool:
        """Whether an answer shows the converter in wait."""
        try:
            found = json.loads(text)
            for key in self.waiting["path"]:
                found = found[key]
        except ValueError, KeyError, TypeError:
            return False
        return bool(found == self.waiting["value"])


class Guard:
    """The one process that writes to these converters."""

    def __init__(self, socket_path: str, state_path: str) -> None:
        self.state_path = state_path
        self.socket_path = socket_path
        self.mind = dead_man.DeadMan()
        self.devices: dict[str, Device] = {}
        self.clients: dict[socket.socket, bytearray] = {}
        self.lock = threading.RLock()
        self.alone_since_s = now_s()
        self.leaving_s: float | None = None
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(socket_path)
        self.listener.listen(4)
        self.waker, self.woken = socket.socketpair()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)

    def run(self) -> None:
        """Until nobody needs it."""
        while not self._is_done():
            begun_s, pause_s = now_s(), self._pause_s()
            events = self.selector.select(pause_s)
            if now_s() - begun_s > pause_s + dead_man.STANDSTILL_S:
                with self.lock:
                    self.mind.stood_still(now_s())
            for key, _ in events:
                if key.fileobj is self.listener:
                    client, _ = self.listener.accept()
                    self.clients[client] = bytearray()
                    self.selector.register(client, selectors.EVENT_READ)
                elif key.fileobj is self.woken:
                    self.woken.recv(64)
                else:
                    self._read(key.fileobj)
            self._look()
        os.unlink(self.socket_path)

    def terminate(self, *_: object) -> None:
        """The machine goes down: current modes at once, references after their line has been told."""
        with self.lock:
            for unit_id, watched in self.mind.units.items():
                if watched.role == dead_man.CURRENT:
                    self.mind.stop(unit_id, "the guard was told to end", now_s())
                elif watched.role == dead_man.REFERENCE:
                    self._tell_all({"leaving": unit_id})
            if self.leaving_s is None:
                self.leaving_s = now_s() + LEAVING_S
        self.wake()

    def wake(self) -> None:
        """Look again now."""
        self.waker.send(b"!")

    def _is_done(self) -> bool:
        with self.lock:
            if not self.mind.is_idle(now_s()):
                return False
            lonely = not self.clients and now_s() - self.alone_since_s > LONELY_S
            return bool(lonely or self.leaving_s is not None)

    def _pause_s(self) -> float:
        with self.lock:
            moments = [self.mind.next_s(now_s()), self.leaving_s]
            if not self.clients:
                moments.append(self.alone_since_s + LONELY_S)
        ahead = [moment - now_s() for moment in moments if moment is not None]
        return float(max(0.02, min([*ahead, 5.0])))

    def _look(self) -> None:
        with self.lock:
            now = now_s()
            if self.leaving_s is not None and now >= self.leaving_s:
                for unit_id, watched in self.mind.units.items():
                    if watched.role == dead_man.REFERENCE:
                        self.mind.stop(unit_id, "the guard was told to end", now)
            due, to_read = self.mind.due(now), self.mind.to_read(now)
        # One thread each: a device that hangs holds nobody up.
        for unit_id in due:
            threading.Thread(target=self._send_wait, args=(unit_id,), daemon=True).start()
        for unit_id in to_read:
            threading.Thread(target=self._look_at, args=(unit_id,), daemon=True).start()
        if due:
            self._save()

    def _send_wait(self, unit_id: str) -> None:
        device = self.devices[unit_id]
        for request in device.wait:
            try:
                device.ask(request, DEVICE_TIMEOUT_S)
            except (OSError, http.client.HTTPException) as error:
                sys.stderr.write(f"{unit_id}: wait: {error}\n")
        self._look_at(unit_id)

    def _look_at(self, unit_id: str) -> None:
        device = self.devices[unit_id]
        try:
            status, text = device.ask(device.status, DEVICE_TIMEOUT_S)
        except OSError, http.client.HTTPException:
            return
        if status == http.client.OK:
            with self.lock:
                is_off = device.is_waiting(text)
                self.mind.saw(unit_id, is_off, now_s())
                if not is_off and self.mind.units[unit_id].role == dead_man.OFF:
                    self.mind.stop(unit_id, "found on though nobody had switched it on", now_s())
            self._save()
            self.wake()

    def _read(self, client: Any) -> None:
        try:
            data = client.recv(LONGEST_LINE)
        except OSError:
            data = b""
        buffer = self.clients[client]
        buffer += data
        if not data or len(buffer) > 4 * LONGEST_LINE:
            self.selector.unregister(client)
            del self.clients[client]
            client.close()
            self.alone_since_s = now_s()
            return
        *lines, rest = bytes(buffer).split(b"\n")
        self.clients[client] = bytearray(rest)
        for line in lines:
            self._serve(client, line)

    def _serve(self, client: Any, line: bytes) -> None:
        number = None
        try:
            message = json.loads(line)
            number = message.get("id")
            answer = getattr(self, "do_" + message["do"])(client, message)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            answer = {"error": str(error) if isinstance(error, OSError) else repr(error)}
        if answer is not None:
            self._answer(client, number, answer)

    def _answer(self, client: Any, number: Any, answer: dict[str, Any]) -> None:
        with self.lock:
            try:
                client.sendall(json.dumps({"id": number, **answer}).encode() + b"\n")
            except OSError:
                return

    def _tell_all(self, message: dict[str, Any]) -> None:
        for client in list(self.clients):
            self._answer(client, None, message)

    def do_arm(self, _client: Any, message: dict[str, Any]) -> dict[str, Any]:
        """Take a converter over, or take it over anew after a trip."""
        unit_id = message["unit"]
        with self.lock:
            known = self.devices.get(unit_id)
            if known is not None and not known.is_as(message):
                # Its unit has another device now. What watches over the old one lets go of it only in wait.
                if not self.mind.units[unit_id].is_off:
                    raise OSError(f"{unit_id}: its converter at {known.base.geturl()} was not read in wait: it is not let go of")
                del self.devices[unit_id]
                known.jobs.put(None)
                known.lock.close()
            if unit_id in self.devices:
                # A policy's other voltage makes another wait.
                self.devices[unit_id].wait, self.devices[unit_id].waiting = message["wait"], message["waiting"]
            else:
                self.devices[unit_id] = device = Device(message, _locked(message))
                threading.Thread(target=self._work, args=(unit_id, device), daemon=True).start()
            watched = dead_man.Watched(message["line"], message["currentS"], message["referenceS"])
            self.mind.arm(unit_id, watched, message["role"], message["epoch"], now_s())
        self._save()
        return {"ok": True}

    def do_beat(self, _client: Any, message: dict[str, Any]) -> dict[str, Any] | None:
        """A sign of life; answered where that is asked for. Of a converter that is not known it is an error."""
        with self.lock:
            if message["unit"] not in self.mind.units:
                raise KeyError(message["unit"])
            self.mind.beat(message["unit"], now_s())
        return {"ok": True} if "id" in message else None

    def do_status(self, _client: Any, message: dict[str, Any]) -> dict[str, Any]:
        """What the guard knows of a converter."""
        with self.lock:
            return {"ok": True, "status": self._status(message["unit"])}

    def _status(self, unit_id: str) -> dict[str, Any] | None:
        watched = self.mind.units.get(unit_id)
        if watched is None:
            # An earlier guard's: what it saw then is no reading of now, and no beat of anybody's.
            found = self._remembered().get(unit_id)
            return (
                found
                if found is None or found.get("boot") == boot_id()
                else {**found, "isOff": False, "offS": now_s(), "trippedS": now_s()}
            )
        return {
            "role": watched.role,
            "epoch": watched.epoch,
            "trip": watched.trip,
            "trippedS": watched.tripped_s,
            "isOff": watched.is_off,
            "offS": watched.off_since_s,
            "lastBeatS": watched.beat_s,
            "boot": boot_id(),
        }

    def _remembered(self) -> dict[str, Any]:
        try:
            with open(self.state_path) as file:
                state = json.load(file)
        except OSError, ValueError:
            return {}
        # Damaged, it is nothing: what it knew has to be found out anew.
        return {unit_id: found for unit_id, found in state.items() if isinstance(found, dict)} if isinstance(state, dict) else {}

    def _save(self) -> None:
        with self.lock:
            state = self._remembered() | {unit_id: self._status(unit_id) for unit_id in self.mind.units}
            name = self.state_path + ".new"
            try:
                with open(name, "w") as file:
                    json.dump(state, file)
                os.replace(name, self.state_path)
            except OSError as error:
                sys.stderr.write(f"{self.state_path}: {error}\n")

    def do_write(self, client: Any, message: dict[str, Any]) -> None:
        """A device request of the node's; carried out in turn with the converter's others."""
        self.devices[message["unit"]].jobs.put((client, message))

    def _work(self, unit_id: str, device: Device) -> None:
        while (job := device.jobs.get()) is not None:
            client, message = job
            self._answer(client, message["id"], self._write(unit_id, device, message))
            self.wake()

    def _write(self, unit_id: str, device: Device, message: dict[str, Any]) -> dict[str, Any]:
        role, is_wait = message.get("role"), message.get("role") == dead_man.OFF
        with self.lock:
            active = not is_wait
            refusal = self.mind.refusal(
                unit_id, active=active, wait=is_wait, epoch=message["epoch"], deadline_s=message["deadlineS"], now_s=now_s()
            )
            if refusal:
                return {"refused": refusal}
            switches_on = role not in (None, dead_man.OFF) and self.mind.units[unit_id].role == dead_man.OFF
            if role == dead_man.REFERENCE or switches_on:
                self.mind.learn(unit_id, role, now_s())
        if switches_on:
            # Should this guard end as well, nobody may take its converter for off.
            self._save()
        try:
            status, text = device.ask(message, message["timeoutS"])
        except (OSError, http.client.HTTPException) as error:
            self._doubt(unit_id, is_wait)
            self._unanswered(unit_id, role)
            return {"failed": f"{error}" or type(error).__name__}
        if status != http.client.OK:
            self._unanswered(unit_id, role)
        with self.lock:
            if role is not None and status == http.client.OK:
                self._after(unit_id, device, role, text)
            self._doubt(unit_id, is_wait)
        return {"status": status, "text": text}

    def _doubt(self, unit_id: str, is_wait: bool) -> None:
        """Stopped while an active write was on its way, whatever came of that: the wait goes out once more."""
        with self.lock:
            if self.mind.units[unit_id].trip and not is_wait:
                self.mind.units[unit_id].is_off = False

    def _unanswered(self, unit_id: str, role: str | None) -> None:
        """A write of which nobody knows what came of it: one that switches on may still do so."""
        if role not in (None, dead_man.OFF):
            with self.lock:
                self.mind.unanswered(unit_id, now_s())

    def _after(self, unit_id: str, device: Device, role: str, text: str) -> None:
        if role == dead_man.OFF:
            if device.is_waiting(text):
                self.mind.learn(unit_id, dead_man.OFF, now_s())
                self.mind.saw(unit_id, True, now_s())
        elif not self.mind.units[unit_id].trip:
            self.mind.learn(unit_id, role, now_s())


def main() -> None:
    """Serve until nobody needs it."""
    guard = Guard(sys.argv[1], sys.argv[2])
    signal.signal(signal.SIGTERM, guard.terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    guard.run()


if __name__ == "__main__":
    main()
