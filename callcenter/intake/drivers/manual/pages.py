"""The page on which somebody enters what came on paper, or otherwise than by telephone."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.followup import attachments
from callcenter.appeals.labels import CHANNELS
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.manual_intake import register_contact
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.appeals.rules.new_contacts import NewContact
from callcenter.appeals.web.record_actions import appeal_path
from callcenter.appeals.web.record_keys import record_keys
from callcenter.intake import service
from callcenter.intake.rules.messages import ID_LIMIT, SENDER_LIMIT, WrittenMessage
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

FORM_SIZE_LIMIT = 101 * 1024**2  # bytes of a form with its files; each file is judged by itself
SOURCE = "manual"
NO_APPEAL = N_("there is no appeal with this number: correct it, or leave it out")
ERASED = N_("personal data of that appeal were erased: enter this as a new one")

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class ManualIntakeForm(BaseModel):
    """The form of what came otherwise than by telephone; the time is that of Almaty."""

    channel: ContactChannel
    language: Annotated[str, Field(max_length=2)]
    received_at: datetime
    message_id: Annotated[str, Field(max_length=ID_LIMIT, pattern=NO_NUL)] = ""
    text: Annotated[str, Field(max_length=200_000)] = ""
    sender: Annotated[str, Field(max_length=SENDER_LIMIT)] = ""
    phone: Annotated[str, Field(max_length=40)] = ""
    joins: Annotated[str, Field(max_length=20, pattern=NO_NUL)] = ""
    dealt: Literal["queue", "me"] = "queue"
    urgent: Literal["", "yes"] = ""

    @property
    def contact(self) -> NewContact:
        """The contact without what is written."""
        received_at = self.received_at.replace(tzinfo=self.received_at.tzinfo or ZONE)
        return NewContact(self.channel, self.language, received_at, self.phone)

    @property
    def is_contact_alone(self) -> bool:
        """Whether nothing is typed but that somebody was here."""
        return not any(map(str.strip, (self.text, self.sender, self.joins, self.urgent)))

    @property
    def message(self) -> WrittenMessage:
        """The message of the form; one that is sent again is the same."""
        contact = self.contact
        return WrittenMessage(
            source=SOURCE,
            message_id=self.message_id or str(uuid4()),
            channel=contact.channel,
            language=contact.language,
            received_at=contact.received_at,
            text=self.text,
            sender=self.sender,
            phone=contact.phone,
            joins=self.joins.strip(),
            is_urgent=bool(self.urgent),
        )


@router.get("/new-appeal")
async def new_form(request: Request) -> Response:
    """Show the form of manual intake."""
    return _new(request)


@router.post("/new-appeal", max_body_size=FORM_SIZE_LIMIT)
async def new(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[ManualIntakeForm, Form()],
) -> Response:
    """Open an appeal by hand, or have what is written join one, and go to it."""

    async def show(refusal: InvalidRequest) -> Response:
        return _new(request, refusal)

    return await action(_enter(request, site, actor, form), appeal_path, show, reraise=())


async def _enter(request: Request, site: AppContext, actor: Actor, form: ManualIntakeForm) -> str:
    """The number of the appeal. Files are judged first: nothing is stored of what is refused."""
    files = [(each.filename or "", await each.read()) for each in await _uploads(request)]
    for _, content in files:
        await attachments.check_file(site.settings, content)
    if form.is_contact_alone and not files:
        return await register_contact(site.engine, actor, form.contact)
    by = (site.engine, record_keys(site), site.settings, actor)
    message, is_own = form.message, form.dealt == "me"
    try:
        receipt = await service.receive(*by, message, is_own=is_own)
        for name, content in files:
            await service.attach(*by, SOURCE, message.message_id, name, content, is_own=is_own)
    except NotFound as exc:
        raise InvalidRequest(NO_APPEAL) from exc
    except service.PersonalDataErased as exc:
        raise InvalidRequest(ERASED) from exc
    return receipt.number


async def _uploads(request: Request) -> list[UploadFile]:
    """The files of the form; a field without one is sent as an empty name."""
    sent = (await request.form()).getlist("file")
    return [each for each in sent if isinstance(each, UploadFile) and each.filename]


def _new(request: Request, refusal: InvalidRequest | None = None) -> Response:
    return page(
        request,
        "intake/new.html",
        status=200 if refusal is None else 400,
        channels={each: CHANNELS[each.value] for each in ContactChannel},
        now=datetime.now(ZONE),
        message_id=str(uuid4()),
        refusal=None if refusal is None else str(refusal),
    )
