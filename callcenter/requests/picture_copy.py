"""Copies of pictures without what they say of themselves, made by a process of its own.

A camera writes place, time and device into a picture (Exif, XMP), programs names, and previews of
what was cut off; a colour profile has a day and a device too. A copy has what is seen, in sRGB. A
hostile picture ends that process alone.
"""

import resource
import subprocess
import sys
import warnings
from io import BytesIO

from PIL import Image, ImageCms, ImageOps

#: By the ending of their type, as Pillow calls it. Other pictures have several pages (TIFF, GIF),
#: or cannot be written (HEIC).
PICTURES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
MEMORY_LIMIT = 1024**3  # bytes
CPU_LIMIT = 20  # seconds
QUALITY = 95  # of 100, for what JPEG and WebP lose
_SEEN = ("transparency",)  # what belongs to the look of a picture


def copy_picture(content: bytes, ending: str) -> bytes:
    """The first picture of a file anew, upright.

    Raises ValueError if it cannot be read. Blocks.
    """
    copier = subprocess.run(
        (sys.executable, "-I", __file__, PICTURES[ending]),
        input=content,
        capture_output=True,
        check=False,
    )
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


def _main(kind: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(BytesIO(sys.stdin.buffer.read()), formats=[kind]) as picture:
        upright = _in_srgb(ImageOps.exif_transpose(picture))
        seen = {name: upright.info[name] for name in _SEEN if name in upright.info}
        upright.info = {}
        made = BytesIO()
        upright.save(made, kind, quality=QUALITY, **seen)
    sys.stdout.buffer.write(made.getvalue())


if __name__ == "__main__":
    _main(sys.argv[1])
