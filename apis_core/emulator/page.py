"""The page: one file each, without anything from elsewhere."""

from importlib import resources

from aiohttp import web

# Nothing from elsewhere is loaded or asked, and no page of another origin may show this one, but Home Assistant's own.
HEADERS = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:"}


def routes() -> list[web.AbstractRouteDef]:
    """The page itself, and the one for people who write programs."""
    return [web.get("/", _page), web.get("/api/v1/docs", _docs)]


def _file(name: str) -> web.Response:
    text = resources.files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="text/html", headers=HEADERS)


async def _page(_request: web.Request) -> web.Response:
    return _file("page.html")


async def _docs(_request: web.Request) -> web.Response:
    return _file("docs.html")
