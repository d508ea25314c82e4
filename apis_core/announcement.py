"""Telling the local network of an emulator, a driver or a node that can be reached from it (zeroconf, `_apis._tcp`)."""

from collections.abc import AsyncIterator
import contextlib
import logging
import socket

from .model.version import VERSION
from .web import API, is_loopback

_LOGGER = logging.getLogger(__name__)
SERVICE = "_apis._tcp.local."


def properties(role: str, identity: str) -> dict[str, str]:
    """What whoever finds it is told."""
    return {"role": role, "id": identity, "api": API, "version": VERSION}


@contextlib.asynccontextmanager
async def announced(role: str, host: str, port: int, identity: str) -> AsyncIterator[None]:
    """Announced while the context lasts; not at all where only this machine can reach it."""
    if is_loopback(host):
        yield
        return
    try:
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
    except ImportError:
        _LOGGER.info("not announced on the network: the extra `announce` is not installed")
        yield
        return
    name = f"APIS {role} {identity[:8]}.{SERVICE}"
    info = AsyncServiceInfo(
        SERVICE, name, port=port, properties=properties(role, identity), server=f"{socket.gethostname()}.local.",
        addresses=[socket.inet_aton(address) for address in _addresses(host)],
    )  # fmt: skip
    zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    try:
        await zeroconf.async_register_service(info)
        yield
    finally:
        await zeroconf.async_unregister_service(info)
        await zeroconf.async_close()


def _addresses(host: str) -> list[str]:
    """Where it can be reached: the address it was bound to, or this machine's own."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - a comparison
        return [host]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the system says which of its addresses it would use.
        probe.connect(("192.0.2.1", 9))
        return [str(probe.getsockname()[0])]
