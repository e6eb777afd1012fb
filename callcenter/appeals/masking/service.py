"""Masking of personal data: one person requests it, for an appeal or a rule, one decides.

A person's request (law 94-V, article 24) is carried out with the decision. A rule is in force from
its decision on, and the worker masks by it every night. Data that the law retains stay for now: to
approve a request for them fails with the reason, and a rule comes back to them.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import store as form_store
from callcenter.appeals.masking import store as masking_store
from callcenter.appeals.masking.store import MaskingRequest
from callcenter.appeals.record import store
from callcenter.appeals.record.service import get_appeal
from callcenter.appeals.rules.edit_conflict import EditConflict
from callcenter.appeals.rules.masking import (
    LEAST_DAYS,
    MOST_DAYS,
    RetentionRequired,
    RuleScope,
    remaining,
)
from callcenter.appeals.tables import masking
from callcenter.platform.audit.store import record as audit
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.identity import approvals
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources

BATCH = 200


@dataclass(frozen=True, slots=True)
class MaskingPreview:
    """Counts of the personal data that would be masked now.

    `retained` counts appeals by the key of the reason, `erased` rows by the key of the part of
    personal data. Of one appeal `keys` are those of its content that would be erased.
    """

    appeals: int
    retained: Mapping[str, int]
    erased: Mapping[str, int]
    keys: Sequence[str] = ()
    recordings: int = 0  #: masking leaves them: see recordings.retention


async def request_masking(
    engine: AsyncEngine, actor: Actor, numbers: Collection[str], reason: str
) -> list[UUID]:
    """Request masking of appeals of one person. Raises InvalidRequest, NotFound."""
    reason = approvals.check_reason(reason)
    requests = []
    async with unit_of_work(engine) as connection:
        for number in dict.fromkeys(numbers):
            row = await get_appeal(connection, number)
            requests.append(
                await approvals.add_request(connection, masking, actor, reason, appeal_id=row.id)
            )
            subject = _appeal_subject(number)
            await audit_action(
                connection, actor, AppealAction.MASKING_ASKED, subject, {"reason": reason}
            )
    return requests


async def request_rule(
    engine: AsyncEngine, actor: Actor, kind: RuleScope, days: int, reason: str
) -> UUID:
    """Request a rule. Raises InvalidRequest."""
    reason = approvals.check_reason(reason)
    if not LEAST_DAYS <= days <= MOST_DAYS:
        raise InvalidRequest(f"a rule is of {LEAST_DAYS} to {MOST_DAYS} days")
    async with unit_of_work(engine) as connection:
        identity = await approvals.add_request(
            connection, masking, actor, reason, kind=kind.value, days=days
        )
        subject = f"rule:{kind.value}"
        await audit_action(
            connection, actor, AppealAction.MASKING_ASKED, subject, {"reason": reason, "days": days}
        )
    return identity


async def decide(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    identity: UUID,
    *,
    approve: bool,
    reason: str,
) -> None:
    """Approve or refuse what another person requested.

    Raises NotFound when nothing waits under this id, SelfApproval, RetentionRequired,
    InvalidRequest.
    """
    reason, now = approvals.check_reason(reason), datetime.now(UTC)
    async with approvals.deciding(engine, masking, identity, actor) as connection:
        request = await masking_store.find_request(connection, identity)
        if approve and request.kind is not None:
            await masking_store.end_rules(connection, request.kind)
        await approvals.save_decision(
            connection, masking, identity, actor, approve=approve, reason=reason
        )
        if approve and request.appeal_id is not None:
            await masking_store.mask(
                connection,
                keys,
                await form_store.read_form(connection),
                request.appeal_id,
                masking_id=identity,
                now=now,
            )
        action = AppealAction.MASKING_APPROVED if approve else AppealAction.MASKING_REFUSED
        detail: dict[str, str | int] = {"reason": reason, "asked_by": request.asked_by}
        if request.days is not None:
            detail["days"] = request.days
        await audit_action(connection, actor, action, _subject(request), detail)


async def end_rule(engine: AsyncEngine, actor: Actor, identity: UUID, reason: str) -> None:
    """End a rule: nothing more is masked by it. Raises NotFound, InvalidRequest."""
    reason = approvals.check_reason(reason)
    async with unit_of_work(engine) as connection:
        rule = await masking_store.end_rule(connection, identity)
        if rule is None:
            raise NotFound("no rule of this id is in force: look at the list again")
        subject = _subject(rule)
        await audit_action(
            connection, actor, AppealAction.MASKING_ENDED, subject, {"reason": reason}
        )


async def preview(
    connection: AsyncConnection, keys: RecordKeys, request: MaskingRequest
) -> MaskingPreview:
    """Preview what the request would mask now."""
    if request.kind is not None and request.days is not None:
        return await preview_rule(connection, request.kind, request.days)
    assert request.appeal_id is not None  # noqa: S101 - the database checks it
    form = await form_store.read_form(connection)
    reasons = await masking_store.find_reasons(connection, request.appeal_id, datetime.now(UTC))
    record = await store.find(connection, keys, request.appeal_id)
    stays = remaining(form, record.content)
    return MaskingPreview(
        appeals=0 if reasons else 1,
        retained=dict.fromkeys(reasons, 1),
        erased=await masking_store.count_parts(connection, form, request.appeal_id),
        keys=[key for key in record.content if key not in stays],
        recordings=await masking_store.count_recordings(connection, request.appeal_id),
    )


async def preview_rule(connection: AsyncConnection, kind: RuleScope, days: int) -> MaskingPreview:
    """Preview what a rule would mask now."""
    now = datetime.now(UTC)
    return MaskingPreview(*await masking_store.count_due(connection, kind, days, now))


async def mask_by_rules(resources: WorkerResources, now: datetime) -> int:
    """Mask what is due by the rules in force; returns how many appeals.

    Each appeal is a transaction of its own, so this may be killed anywhere and repeated. Raises
    DependencyUnavailable.
    """
    keys, count = await asyncio.to_thread(RecordKeys.read, resources.settings), 0
    async with unit_of_work(resources.engine) as connection:
        rules = await masking_store.list_rules(connection)
        form = await form_store.read_form(connection)
    for rule in rules:
        if rule.kind is None or rule.days is None:
            continue
        while True:
            async with unit_of_work(resources.engine) as connection:
                due = await masking_store.list_due(
                    connection, rule.kind, rule.days, now, limit=BATCH
                )
            for appeal_id, number in due:
                # Retained or edited since it was read: the next night tries again.
                with suppress(RetentionRequired, EditConflict):
                    async with unit_of_work(resources.engine) as connection:
                        await masking_store.mask(
                            connection, keys, form, appeal_id, masking_id=rule.id, now=now
                        )
                        await audit(
                            connection,
                            who=f"rule:{rule.kind.value}",
                            action=AppealAction.RECORD_MASKED,
                            subject=_appeal_subject(number),
                            detail={"masking": str(rule.id), "days": rule.days},
                        )
                    count += 1
            if len(due) < BATCH:
                break
    return count


def _appeal_subject(number: str) -> str:
    return f"appeal:{number}"


def _subject(request: MaskingRequest) -> str:
    return _appeal_subject(request.number) if request.number else f"rule:{request.kind}"
