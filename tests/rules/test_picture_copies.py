"""What leaves of a picture is what is seen: not where, when, with what and by whom it was made."""

import struct
import sys
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from callcenter.requests.picture_copy import PICTURES, copy_picture
from tests.seeds import SeededRandom

PLACE = "51.1694N"  # as any of them may write it
GPS, DEVICE, ORIENTATION = 0x8825, 0x0110, 0x0112
LIMIT = 20 * 1024**2  # bytes


def photograph(ending: str, orientation: int = 6) -> bytes:
    """A picture that says where it was made, in each way that its type has."""
    picture = Image.new("RGB", (64, 32), (200, 30, 30))
    exif = Image.Exif()
    exif[DEVICE], exif[ORIENTATION], exif[GPS] = PLACE, orientation, {1: "N", 29: PLACE}
    said = PngImagePlugin.PngInfo()
    said.add_itxt("XML:com.adobe.xmp", f"<x>{PLACE}</x>")
    said.add_text("Comment", PLACE)
    ways = {"xmp": f"<x>{PLACE}</x>".encode(), "comment": PLACE} if ending != "png" else {}
    made = BytesIO()
    colours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(made, PICTURES[ending], exif=exif, pnginfo=said, icc_profile=colours, **ways)
    return made.getvalue() + PLACE.encode()  # as telephones put films behind pictures


@pytest.mark.parametrize("ending", PICTURES)
def test_a_copy_has_what_is_seen_alone(ending: str) -> None:
    original = photograph(ending)
    assert original.count(PLACE.encode()) > 3
    copy = copy_picture(original, ending, LIMIT)
    assert PLACE.encode() not in copy
    with Image.open(BytesIO(copy)) as seen:
        assert seen.format == PICTURES[ending]
        assert seen.size == (32, 64)  # upright, without being turned
        assert not seen.getexif()
        assert set(seen.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"} | {
            *("loop", "background", "timestamp", "duration")
        }
        pixel = seen.convert("RGB").getpixel((10, 10))
    assert isinstance(pixel, tuple)
    assert all(abs(one - other) < 6 for one, other in zip(pixel, (200, 30, 30), strict=True))


def test_the_same_picture_has_the_same_copy() -> None:
    """It is attached once, however often it is released."""
    one, other = (copy_picture(photograph("jpg"), "jpg", LIMIT) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("ending", PICTURES)
def test_a_copy_is_as_small_as_a_file_must_be(ending: str) -> None:
    """A copy in high quality may be larger than what was sent."""
    noise = Image.frombytes("RGB", (300, 200), SeededRandom("noise").randbytes(300 * 200 * 3))
    made = BytesIO()
    noise.save(made, PICTURES[ending], quality=50)
    limit = len(made.getvalue()) * 2 // 3
    copy = copy_picture(made.getvalue(), ending, limit)
    assert len(copy) <= limit
    with Image.open(BytesIO(copy)) as seen:
        assert seen.width < 300
        assert abs(seen.width / seen.height - 1.5) < 0.05


def test_a_picture_of_many_pixels_is_scaled_down() -> None:
    """Telephones make 108 and 200 million, more than Pillow takes by itself."""
    made = BytesIO()
    Image.new("L", (12_000, 9_000), 200).save(made, "JPEG")
    with Image.open(BytesIO(copy_picture(made.getvalue(), "jpg", LIMIT))) as seen:
        assert seen.size == (6000, 4500)


def test_a_picture_of_a_long_conversation_stays_readable() -> None:
    """A page that is scrolled makes one picture: its words are as wide as the screen."""
    made = BytesIO()
    Image.new("L", (1080, 20_000), 200).save(made, "PNG")
    with Image.open(BytesIO(copy_picture(made.getvalue(), "png", LIMIT))) as seen:
        assert seen.size == (1080, 20_000)


def test_the_process_that_decodes_a_picture_has_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec /usr/bin/env\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("CALLCENTER_SECRET", "123")
    environment = copy_picture(b"", "jpg", LIMIT)
    assert b"PWD" in environment
    assert b"CALLCENTER" not in environment


def test_a_picture_that_cannot_be_read_has_no_copy() -> None:
    whole = photograph("jpg")
    size = b"IHDR" + struct.pack(">2I", 100_000, 100_000) + bytes([8, 2, 0, 0, 0])
    huge = photograph("png").replace(photograph("png")[12:33], size + checksum(size))
    for content, ending in ((whole[:300], "jpg"), (whole, "png"), (huge, "png"), (b"", "webp")):
        with pytest.raises(ValueError, match="cannot be read"):
            copy_picture(content, ending, LIMIT)


def checksum(chunk: bytes) -> bytes:
    """The sum at the end of a chunk of PNG."""
    return struct.pack(">I", zlib.crc32(chunk))
