"""Style sheets, scripts and icons of the pages, under addresses that change with their content.

One digest stands for the whole folder: scripts import each other by relative addresses, so they all
must change together.
"""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from tailrace.errors import NotFound

STATIC = Path(__file__).with_name("static")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".webmanifest": "application/json"}
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


def asset(name: str) -> str:
    """Return the address of a file of the static folder, such as `live.js`."""
    return f"/assets/{digest()}/{name}"


@cache
def digest() -> str:
    """Return what names the content of the whole static folder, in 12 characters."""
    found = hashlib.sha256()
    for name, path in sorted(_files().items()):
        found.update(f"{name}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


@router.get("/assets/{version}/{name:path}")
def show_asset(version: str, name: str) -> Response:
    """Answer a file; a page from before an update gets the present one, which is then not to be kept."""
    path = _files().get(name)
    if path is None:
        raise NotFound("There is no such file.")
    kept = _FOR_EVER if version == digest() else "no-cache"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": kept})


@cache
def _files() -> dict[str, Path]:
    return {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in _TYPES}
