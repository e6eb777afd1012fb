"""Fields that forms of several rooms have: typed text, and four eyes' reason and decision."""

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, Field

from callcenter.platform.identity.approvals import REASON_LIMIT

NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps none in a text

Reason = Annotated[str, Form(max_length=REASON_LIMIT, pattern=NO_NUL)]


class Decision(BaseModel):
    """Decision of another person on a request, as typed."""

    approve: bool = False
    reason: Annotated[str, Field(max_length=REASON_LIMIT, pattern=NO_NUL)] = ""
