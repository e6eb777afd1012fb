"""Downloads of receipts and exports, shared by pages and API."""

import asyncio
from datetime import datetime

from starlette.responses import Response, StreamingResponse

from callcenter.appeals.rules.receipt import Receipt
from callcenter.appeals.search.export import Export
from callcenter.appeals.status.receipt_pdf import render_receipt
from callcenter.platform.core.timezone import ZONE


async def receipt_file(given: Receipt) -> Response:
    """The download of a receipt as PDF."""
    made = await asyncio.to_thread(render_receipt, given)
    headers = {"Content-Disposition": f'attachment; filename="{given.number}.pdf"'}
    return Response(made, media_type="application/pdf", headers=headers)


def export_response(export: Export) -> StreamingResponse:
    """The download of an export."""
    name = f"appeals-{datetime.now(ZONE):%Y-%m-%d-%H%M}.{export.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(export.pieces, media_type=export.format.media_type, headers=headers)
