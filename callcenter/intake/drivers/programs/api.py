"""API of programs that hand over what people wrote to them, such as a portal of others."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field
from starlette.responses import Response

from callcenter.appeals.rules.channels import ContactChannel
from callcenter.appeals.web.attachments_pages import FORM_SIZE_LIMIT, Sent, read_upload
from callcenter.appeals.web.record_keys import record_keys
from callcenter.intake import service
from callcenter.intake.permissions import IntakePermission
from callcenter.intake.rules.messages import (
    ID_LIMIT,
    SENDER_LIMIT,
    TEXT_LIMIT,
    WrittenMessage,
    clean,
)
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL

#: Of the longest message, in bytes: JSON may write each character as two halves of six letters.
MESSAGE_SIZE_LIMIT = 1024**2

router = APIRouter(tags=["intake"], dependencies=[requires(IntakePermission.SEND)])

MessageId = Annotated[
    str, Field(min_length=1, max_length=ID_LIMIT, pattern="^[A-Za-z0-9._@:+~-]+$")
]


def _clean(sent: object) -> object:
    return clean(sent) if isinstance(sent, str) else sent


#: What people write, before it is judged: their program may cut a character in half.
CLEANED = BeforeValidator(_clean)


class IncomingMessage(BaseModel):
    """A message of somebody who wrote to you, as it is."""

    id: MessageId = Field(
        description="yours, and of no other message: the same message sent again is stored once; "
        "with the same id and other words it is an edited one, and both are stored"
    )
    channel: Literal["portal", "email", "messenger"]
    language: Literal["kk", "ru"]
    received_at: AwareDatetime = Field(
        description="when it reached you, not when you send it: the terms of the law count from it"
    )
    text: Annotated[str, Field(max_length=TEXT_LIMIT), CLEANED]
    sender: Annotated[str, Field(max_length=SENDER_LIMIT), CLEANED] = Field(
        "", description="who writes, as they say; nobody has to say it"
    )
    thread: Annotated[str, Field(max_length=ID_LIMIT, pattern=NO_NUL)] = Field(
        "", description="your id of the conversation: its messages are in one appeal"
    )
    names: Annotated[str, Field(max_length=20), CLEANED] = Field(
        "",
        description="the number of an earlier appeal, as the writer gave it: a consultant decides "
        "whether it belongs there",
    )
    danger: bool = Field(
        False, description="the writer says: I am in danger now; supervisors are alerted at once"
    )

    def as_message(self, source: str) -> WrittenMessage:
        """The message for `intake.service.receive`."""
        return WrittenMessage(
            source=source,
            message_id=self.id,
            channel=ContactChannel(self.channel),
            language=self.language,
            received_at=self.received_at,
            text=self.text,
            sender=self.sender,
            thread=self.thread,
            names=self.names,
            is_urgent=self.danger,
        )


class MessageReceipt(BaseModel):
    """The appeal that the message opened or joined, in which it is stored."""

    number: str
    is_new: bool = Field(description="false: the very same message came before")


class StoredFile(BaseModel):
    """A file of a message: it is stored, and looked at for viruses if the center does so."""

    sha256: str = Field(description="of the file, hexadecimal")
    type: str = Field(description="by its bytes: pdf, jpg, ...")


@router.post(
    "/api/v1/intake/messages",
    status_code=201,
    max_body_size=MESSAGE_SIZE_LIMIT,
    responses={200: {"model": MessageReceipt, "description": "The very same came before"}},
)
async def send_message(
    site: CurrentSite, actor: CurrentActor, response: Response, message: IncomingMessage
) -> MessageReceipt:
    """Hand a message over. Send it again until you have the answer: it is stored once."""
    receipt = await service.receive(
        site.engine, record_keys(site), site.settings, actor, message.as_message(_source(actor))
    )
    response.status_code = 201 if receipt.is_new else 200
    return MessageReceipt(number=receipt.number, is_new=receipt.is_new)


@router.post("/api/v1/intake/messages/{message_id}/files", max_body_size=FORM_SIZE_LIMIT)
async def send_file(
    site: CurrentSite, actor: CurrentActor, message_id: MessageId, file: Sent = None
) -> StoredFile:
    """Add a file to a message of yours (multipart/form-data); sent again it is stored once."""
    name, content = await read_upload(file)
    stored = await service.attach(
        *(site.engine, record_keys(site), site.settings, actor),
        *(_source(actor), message_id, name, content),
    )
    return StoredFile(sha256=stored.sha256, type=stored.type)


def _source(actor: Actor) -> str:
    """Ids are those of the program: no other one reads or adds to its messages."""
    return actor.who
