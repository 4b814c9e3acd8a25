"""The API's interactive documentation at `/docs`. All its files are served from here, so it needs no Internet."""

from __future__ import annotations

from pathlib import Path

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

VENDOR = Path(__file__).parent / "vendor"
NO_ICON = "data:,"


async def _page(request: Request) -> Response:
    if request.scope.get("raw_path", b"").endswith(
        b"/"
    ):  # from where its files' addresses would be wrong
        return RedirectResponse("../docs")
    # Relative addresses: a proxy may serve all of this below a path of its own.
    return get_swagger_ui_html(
        openapi_url="./openapi.json",
        title="Bobbin's API",
        swagger_js_url="docs/swagger-ui.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url=NO_ICON,
        swagger_ui_parameters={"persistAuthorization": True},
    )


def docs_routes() -> list[Route | Mount]:
    """The page at `/docs`, and below it the files that it loads."""
    return [Route("/docs", _page), Mount("/docs", StaticFiles(directory=VENDOR))]
