"""What the Web APIs of devices share: who may use them, what their refusals look like, and who they are.

Allowed is this machine; from elsewhere whoever shows the token, or comes from an address that is allowed.
"""

from collections.abc import Sequence
import hmac
from importlib import resources
import ipaddress
from pathlib import Path
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
import orjson

from .model.errors import Problem

# Of the Web APIs here: a number that grows when what was there is not there any more.
API = "1"
# A page loads and asks nothing from elsewhere.
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:"}


def is_loopback(host: str | None) -> bool:
    """Whether an address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def is_private(host: str | None) -> bool:
    """Whether an address is of a network that does not lead through the world: what is said there may be said unencrypted."""
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return host == "localhost" or str(host).endswith((".local", ".home.arpa"))
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_private or address.is_loopback or address.is_link_local


def access_problems(host: str, token: str, allow: Sequence[str]) -> tuple[Problem, ...]:
    """What cannot be about an address to listen on, a token, and addresses that need none."""
    found = []
    if not is_loopback(host) and not token and not allow:
        expected = "127.0.0.1, or a token, or addresses that are allowed: anybody who reaches it commands its converters"
        found.append(Problem("host", host, expected))
    for address in allow:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            found.append(Problem("allow", address, "an address or a network, such as 192.168.1.0/24"))
    return tuple(found)


def middleware(token: str, allow: Sequence[str]) -> Middleware:
    """What is asked before every request."""
    networks = [ipaddress.ip_network(address, strict=False) for address in allow]

    def is_allowed(request: web.Request) -> bool:
        if is_loopback(request.remote) or any(_address(request.remote) in network for network in networks):
            return True
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token", "")
        return bool(token) and hmac.compare_digest(shown.encode(), token.encode())

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_allowed(request):
            return _refused("this address is not allowed, and no token was shown", 401)
        # A page of another origin could make a browser on this machine command a converter: every path is a GET.
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.path != "/":
            return _refused("a page of another origin asks", 403)
        if is_loopback(request.remote) and not _is_named_here(request):
            return _refused("a name that was pointed to this machine asks", 403)
        return await handler(request)

    return check


def _refused(reason: str, status: int) -> web.Response:
    return web.Response(body=orjson.dumps({"error": reason}), status=status, content_type="application/json")


def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        return ipaddress.IPv6Address("::")


def _is_named_here(request: web.Request) -> bool:
    """Whether a browser's request names this machine as itself; other clients send no such header."""
    if "Sec-Fetch-Site" not in request.headers:
        return True
    return is_loopback(request.host.rpartition(":")[0].strip("[]") or request.host)


def page(package: str, name: str) -> web.Response:
    """A page of a package's `data` folder."""
    text = resources.files(package).joinpath(f"data/{name}").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)


def port_of(runner: web.AppRunner) -> int:
    """The port a runner listens on."""
    return int(runner.addresses[0][1])


def identity(path: Path | None) -> str:
    """Who this device is: the same after a restart, where there is a file to remember it."""
    if path is not None and path.is_file():
        return path.read_text(encoding="utf-8").strip()
    made = uuid.uuid4().hex
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, encoding="utf-8")
    return made
