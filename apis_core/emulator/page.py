"""The page: one file each, without anything from elsewhere."""

from importlib import resources

from aiohttp import web

from ..web import PAGE_HEADERS


def routes() -> list[web.AbstractRouteDef]:
    """The page itself, and the one for people who write programs."""
    return [web.get("/", _page), web.get("/api/v1/docs", _docs)]


def _file(name: str) -> web.Response:
    text = resources.files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)


async def _page(_request: web.Request) -> web.Response:
    return _file("page.html")


async def _docs(_request: web.Request) -> web.Response:
    return _file("docs.html")
