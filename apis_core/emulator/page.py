"""The page: one file each, without anything from elsewhere."""

from aiohttp import web

from ..web import page


def routes() -> list[web.AbstractRouteDef]:
    """The page itself, and the one for people who write programs."""
    return [web.get("/", _page), web.get("/api/v1/docs", _docs)]


async def _page(_request: web.Request) -> web.Response:
    return page(__package__, "page.html")


async def _docs(_request: web.Request) -> web.Response:
    return page(__package__, "docs.html")
