"""Pages to export the directory, and to import it after a look at what would change."""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi import File as FormFile
from starlette.requests import Request
from starlette.responses import Response

from callcenter.bodies import directory_files, service
from callcenter.bodies.directory_files import FileFormat
from callcenter.bodies.labels import BODY_FIELDS, FAULTS, FILE_FAULTS
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.rules.directory_table import (
    COLUMNS,
    NEEDED,
    DirectoryUpdate,
    FileFault,
    UnreadableFile,
)
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

FILE_SIZE_LIMIT = 4 * 1024**2  # bytes of a form with a file
TABLE_LIMIT = 400_000  # characters of the rows as they are previewed
MEDIA_TYPES = {
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.CSV: "text/csv; charset=utf-8",
}
CHANGED_SINCE = N_("Nothing was stored: the directory has changed since. Look at it again.")

router = APIRouter(include_in_schema=False, dependencies=[requires(BodyPermission.EDIT_BODIES)])

TableText = Annotated[str, Form(alias="table", max_length=TABLE_LIMIT, pattern=NO_NUL)]


@router.get("/bodies-file")
async def form(request: Request) -> Response:
    """Export, and the form of an import."""
    return _page(request)


@router.post("/bodies-file/export")
async def export(
    site: CurrentSite, actor: CurrentActor, form: Annotated[FileFormat, Form(alias="format")]
) -> Response:
    """The directory as a file."""
    content = await service.export_directory(site.engine, actor, form)
    name = f"bodies-{datetime.now(ZONE):%Y-%m-%d-%H%M}.{form.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers)


@router.post("/bodies-file/preview", max_body_size=FILE_SIZE_LIMIT)
async def preview(
    request: Request,
    site: CurrentSite,
    file: Annotated[UploadFile | str | None, FormFile()] = None,
    table: TableText = "",
) -> Response:
    """Show what the file, or the pasted rows, would change; nothing is stored."""
    try:
        if file and not isinstance(file, str) and (content := await file.read()):
            rows = await asyncio.to_thread(directory_files.read, content)
            if len(written := directory_files.write_csv(rows)) > TABLE_LIMIT:
                raise UnreadableFile(FileFault.LONG)
            table = written
        update = await service.preview_update(site.engine, directory_files.read_csv(table))
    except UnreadableFile as refusal:
        return _page(request, table=table, refusal=refusal)
    return _page(request, table=table, update=update)


@router.post("/bodies-file", max_body_size=FILE_SIZE_LIMIT)
async def import_file(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    table: TableText = "",
    digest: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Store what was previewed, all of it or nothing."""

    async def call() -> None:
        rows = directory_files.read_csv(table)
        await service.apply_update(site.engine, actor, rows, digest)

    async def show(refusal: InvalidRequest) -> Response:
        return _page(request, table=table, refusal=refusal)

    return await action(call(), "/bodies", show)


def _page(
    request: Request,
    *,
    table: str = "",
    update: DirectoryUpdate | None = None,
    refusal: InvalidRequest | None = None,
) -> Response:
    is_wrong = update is not None and bool(update.wrong)
    problem = FILE_FAULTS[refusal.fault] if isinstance(refusal, UnreadableFile) else CHANGED_SINCE
    return page(
        request,
        "bodies/file.html",
        status=status_of(refusal) if refusal is not None else 400 if is_wrong else 200,
        typed={"table": table},
        update=update,
        problem=problem if refusal is not None else None,
        faults=FAULTS,
        fields=BODY_FIELDS,
        columns=COLUMNS,
        needed=NEEDED,
        formats=list(FileFormat),
    )
