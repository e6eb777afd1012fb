"""What leaves of a picture is what is seen: not where, when, with what and by whom it was made."""

from io import BytesIO

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from callcenter.requests.picture_copy import PICTURES, copy_picture

PLACE = "51.1694N"  # as any of them may write it
GPS, DEVICE, ORIENTATION = 0x8825, 0x0110, 0x0112


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
    copy = copy_picture(original, ending)
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
    assert copy_picture(photograph("jpg"), "jpg") == copy_picture(photograph("jpg"), "jpg")


def test_a_picture_that_cannot_be_read_has_no_copy() -> None:
    whole = photograph("jpg")
    huge = BytesIO()
    Image.new("1", (10_000, 10_000)).save(huge, "PNG")
    for content, ending in (
        (whole[:300], "jpg"),
        (whole, "png"),
        (huge.getvalue(), "png"),
        (b"", "webp"),
    ):
        with pytest.raises(ValueError, match="cannot be read"):
            copy_picture(content, ending)
