"""A disk that loses what was not synced, around a process under test."""

from collections.abc import Mapping
import os
from pathlib import Path
import subprocess

SOURCE = Path(__file__).with_name("disk.c")


class Disk:
    """Wraps everything under a folder: `environment` is for the process, `cut_power` for after it was killed."""

    def __init__(self, workshop: Path, folder: Path) -> None:
        workshop.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._log, self._full = folder, workshop / "disk.log", workshop / "full"
        self._library = workshop / "disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(self._library), str(SOURCE)], check=True)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return {
            **base,
            "LD_PRELOAD": str(self._library),
            "DISK_FOLDER": str(self.folder),
            "DISK_LOG": str(self._log),
            "DISK_FULL": str(self._full),
        }

    def fill(self) -> None:
        self._full.touch()

    def make_room(self) -> None:
        self._full.unlink()

    def cut_power(self) -> int:
        """Undo what came after each file's last sync; how many writes were lost."""
        data, at = self._log.read_bytes(), 0
        lost: dict[str, list[tuple[int, bytes, int]]] = {}
        while at < len(data):
            end = data.index(b"\n", at)
            kind, path, offset, held, size = data[at:end].decode().split("\t")
            if kind == "S":
                lost.pop(path, None)
            else:
                lost.setdefault(path, []).append((int(offset), data[end + 1 : end + 1 + int(held)], int(size)))
            at = end + 1 + int(held)
        for path, writes in lost.items():
            if not Path(path).exists():
                continue
            fd = os.open(path, os.O_WRONLY)
            for start, old, length in reversed(writes):
                os.pwrite(fd, old, start)
                os.ftruncate(fd, length)
            os.close(fd)
        self._log.unlink()
        return sum(len(writes) for writes in lost.values())
