"""File types of attachments, recognised by their bytes and never by their names.

puremagic knows how files of each type begin; for what is a ZIP inside, its entries decide.
"""

import io
import re
import zipfile
from collections.abc import Mapping

import puremagic

from callcenter.platform.core.errors import N_, InvalidRequest

#: By the ending that a file of this type is given, its media type.
TYPES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "tif": "image/tiff",
    "webp": "image/webp",
    "heic": "image/heic",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "doc": "application/msword",
    "rtf": "application/rtf",
    "txt": "text/plain; charset=utf-8",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "amr": "audio/amr",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "3gp": "video/3gpp",
}
NAME_LENGTH_LIMIT = 100  # characters, without the ending
WRONG_TYPE = N_("files of this type are not taken: send a document, a picture, sound or a video")

#: Other endings that puremagic has for the same thing.
_SAME = {
    "jpeg": "jpg",
    "jpe": "jpg",
    "jfif": "jpg",
    "tiff": "tif",
    "heif": "heic",
    "oga": "ogg",
    "opus": "ogg",
    "3ga": "3gp",
    "m4v": "mp4",
}
_MACROS = ("vbaProject.bin", "/vbaData.xml")
_NOT_IN_NAMES = re.compile(r"[^\w .,()№+-]+")


def recognize(content: bytes) -> str:
    """The type of a file, as a key of TYPES. Raises InvalidRequest for any other."""
    if content.startswith(b"PK"):
        found = _in_zip(content)
    else:
        found = next((each for each in _endings(content) if each in TYPES), None)
    if found is None and _is_text(content):
        found = "txt"
    if found is None:
        raise InvalidRequest(WRONG_TYPE)
    return found


def clean_name(written: str, ending: str) -> str:
    """A safe file name: no folder, no other ending, no invisible or reversing characters."""
    name = re.split(r"[/\\]", written)[-1]
    stem = name.rpartition(".")[0] or name
    stem = " ".join(_NOT_IN_NAMES.sub(" ", stem).split()).strip(". ")[:NAME_LENGTH_LIMIT]
    return f"{stem.strip('. ') or 'file'}.{ending}"


def _endings(content: bytes) -> list[str]:
    """Endings that puremagic recognises, the likeliest first."""
    try:
        matches = puremagic.magic_string(content)
    except (puremagic.PureError, ValueError):
        return []
    endings = [match.extension.removeprefix(".") for match in matches]
    return [_SAME.get(each, each) for each in endings]


def _in_zip(content: bytes) -> str | None:
    """The type of an office document without macros."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            names = file.namelist()
            if any(name.endswith(_MACROS) for name in names):
                return None
            if "[Content_Types].xml" in names:
                parts = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}
                return next((parts[name] for name in names if name in parts), None)
            if names[:1] == ["mimetype"] and file.getinfo("mimetype").file_size < 100:
                said = file.read("mimetype").decode("ascii", "replace").strip()
                return next((each for each in ("odt", "ods") if TYPES[each] == said), None)
    # The last two: a compression that zipfile does not know, and an archive with a password.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return None
    return None


def _is_text(content: bytes) -> bool:
    """Whether it is text in UTF-8, and no script or page."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    begin = text.lstrip()
    printable = all(each.isprintable() or each in "\t\r\n" for each in text)
    return bool(begin) and printable and not begin.startswith(("<", "#!", "%!"))
