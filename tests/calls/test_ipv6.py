"""Who has IPv6 and who has IPv4 hear each other, and the recording has both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from callcenter.sipphone.audio import loudness
from callcenter.telephony.calls.outcomes import Outcome
from tests.asterisk.switch import CONSULTANTS, OPERATOR
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    last_sound,
    running_call_center,
)
from tests.calls.talking import LOUD, a_moment, talking
from tests.services import new_database

LOOPBACK = "::1"  # the only one there is: it is the operator's, or else the consultants'
CALLER = "+77020700001"


@pytest.mark.parametrize("by_ipv6", ["operator", "consultants"])
async def test_sound_goes_both_ways_between_ipv6_and_ipv4(
    by_ipv6: str, short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> None:
    async with _call_center(by_ipv6, short_folder, postgres, redis_url, built_prompts) as center:
        async with talking(center, CALLER) as talk:
            await a_moment()
            await talk.consultant.hang_up()
            await talk.caller.ended()
        appeal = await center.appeal(CALLER)
        assert appeal.outcome == Outcome.TALKED
        (recording,) = await center.recordings(appeal)
        caller, consultant = center.recorded(recording)
        assert loudness(last_sound(caller), CALLER_TONE) > LOUD
        assert loudness(last_sound(consultant), CONSULTANT_TONE) > LOUD
        await center.assert_no_resources_left()


@asynccontextmanager
async def _call_center(
    by_ipv6: str, folder: Path, postgres: Path, redis_url: str, prompts: Path
) -> AsyncIterator[CallCenter]:
    """A call center with both families, and those named at IPv6."""
    is_operator = by_ipv6 == "operator"
    networks = IPv4Network(OPERATOR), IPv6Network(LOOPBACK)
    with new_database(postgres) as database:
        async with running_call_center(
            folder / "ipv6",
            prompts,
            ("line-1",),
            database_url=database,
            redis_url=f"{redis_url}?db=8",
            wrap_up=0,
            sip_address_v6=IPv6Address(LOOPBACK),
            operator_networks=networks if is_operator else networks[:1],
        ) as center:
            operator = LOOPBACK if is_operator else OPERATOR
            consultants = CONSULTANTS if is_operator else LOOPBACK
            yield replace(center, operator=operator, consultants=consultants)
