"""Copies of pictures without what they say of themselves, made by a process of its own.

A camera writes place, time and device into a picture (Exif, XMP), programs names, and previews of
what was cut off; a colour profile has a day and a device too. A copy has what is seen, in sRGB, and
is scaled down where it would be too large. A picture that breaks or floods the decoder ends that
process alone. One that takes it over finds no secret in its environment, which is empty; it may
read what the user of the pages may.
"""

import resource
import subprocess
import sys
from io import BytesIO
from math import sqrt
from typing import Any

from PIL import Image, ImageCms, ImageOps

#: By the ending of their type, as Pillow calls it. Other pictures have several pages (TIFF, GIF),
#: or cannot be written (HEIC).
PICTURES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
MEMORY_LIMIT = 1024**3  # bytes
CPU_LIMIT = 20  # seconds
TIME_LIMIT = 60  # seconds, as the clock has them
PIXEL_LIMIT = 6000 * 4500  # of a whole picture: a conversation is narrow and long
QUALITY = 95  # of 100, for what JPEG and WebP lose
_SEEN = ("transparency",)  # what belongs to the look of a picture


def copy_picture(content: bytes, ending: str, size_limit: int) -> bytes:
    """The first picture of a file anew, upright, in up to so many bytes.

    Raises ValueError if it cannot be read. Blocks.
    """
    try:
        copier = subprocess.run(
            (sys.executable, "-I", __file__, PICTURES[ending], str(size_limit)),
            input=content,
            capture_output=True,
            check=False,
            env={},
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired as exc:
        raise ValueError("the picture cannot be read in time") from exc
    if copier.returncode:
        raise ValueError(f"the picture cannot be read: exit status {copier.returncode}")
    return copier.stdout


def _in_srgb(picture: Image.Image) -> Image.Image:
    """The picture in sRGB, as without a profile; as it is where its own cannot be read."""
    profile = picture.info.get("icc_profile")
    if profile is None or picture.mode not in ("RGB", "RGBA", "L", "CMYK"):
        return picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            picture, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except ImageCms.PyCMSError:
        return picture
    if converted is None:
        return picture
    converted.info = picture.info
    return converted


def _scale_down(picture: Image.Image, factor: float) -> None:
    """Scale a picture in place, unless that makes it no smaller."""
    if factor < 1:
        size = (int(picture.width * factor) or 1, int(picture.height * factor) or 1)
        picture.draft(None, size)  # a JPEG is decoded smaller
        picture.thumbnail(size)


def _write(picture: Image.Image, kind: str, seen: dict[str, Any]) -> bytes:
    made = BytesIO()
    picture.save(made, kind, quality=QUALITY, **seen)
    return made.getvalue()


def _main(kind: str, size_limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    Image.MAX_IMAGE_PIXELS = None  # of JPEG fewer are decoded; memory is limited
    with Image.open(BytesIO(sys.stdin.buffer.read()), formats=[kind]) as picture:
        _scale_down(picture, sqrt(PIXEL_LIMIT / (picture.width * picture.height)))
        upright = _in_srgb(ImageOps.exif_transpose(picture))
        seen = {name: upright.info[name] for name in _SEEN if name in upright.info}
        upright.info = {}
        while len(made := _write(upright, kind, seen)) > size_limit:
            _scale_down(upright, 3 / 4)
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
