"""Static files: scripts, styles and pictures, read at the start and served by name."""

import hashlib
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.errors import NotFound, OperationFailed
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import Asset, CurrentSite, WebModule

HERE = Path(__file__).parent
BUILT = HERE / "packages" / "built"  # by scripts/setup
MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
CACHED_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
NO_WEIGHT = re.compile(r"\s*q=0(?:\.0{0,3})?\s*")

router = APIRouter(include_in_schema=False)


def load_assets(rooms: Sequence[WebModule]) -> dict[str, Asset]:
    """The files served below /static/, by name; no other path is served.

    Raises OperationFailed when two have one name.
    """
    found: dict[str, Asset] = {}
    folders = [HERE / "static", *(room.static for room in rooms if room.static is not None)]
    for file in sorted(chain(*(folder.iterdir() for folder in folders), BUILT.glob("*.js"))):
        if file.name in found:
            raise OperationFailed(f"two static files have the name {file.name}")
        content = file.read_bytes()
        version = hashlib.sha256(content).hexdigest()[:12]
        found[file.name] = Asset(content, MEDIA_TYPES[file.suffix], version)
    return found


@router.get("/static/{name}", dependencies=[requires(SessionPermission.OPEN)])
async def static(request: Request, site: CurrentSite, name: str) -> Response:
    """Send a static file, compressed if the browser accepts that: pages never are (BREACH)."""
    asset = site.assets.get(name)
    if asset is None:
        raise NotFound
    content, headers = asset.content, dict(CACHED_FOR_EVER)
    if asset.media_type.startswith("text/"):
        headers["Vary"] = "Accept-Encoding"
        if accepts_gzip(request):
            content = asset.gzipped
            headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=asset.media_type, headers=headers)


def accepts_gzip(request: Request) -> bool:
    """Whether Accept-Encoding names gzip, and not with the weight 0 (RFC 9110, 12.5.3)."""
    for each in ",".join(request.headers.getlist("accept-encoding")).lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return NO_WEIGHT.fullmatch(weight) is None
    return False
