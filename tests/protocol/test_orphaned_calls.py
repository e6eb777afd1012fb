"""Ownership of orphaned calls, as Asterisk names channels while they are moved."""

from collections.abc import Mapping
from typing import Any

from callcenter.telephony.asterisk.ari import ChannelNotFound
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.asterisk.cluster.orphaned_calls import (
    OrphanedChannels,
    find_orphans,
    take_over,
)

FIRST, SECOND, THIRD = "line-1.a", "line-1.b", "line-1.c"
CALLER, CONSULTANT = "1764230400.1", f"called-00000000-0000-0000-0000-000000000001-{FIRST}"
TALK = f"talk-{CALLER}-1"


class Switch:
    """A fake ARI for `find_orphans` and `take_over`: a channel that is moved comes at once."""

    application = THIRD

    def __init__(self, **applications: tuple[str, ...]) -> None:
        """Channels by the application that they are named with: of instances a, b and c."""
        self.registry = ChannelRegistry(self)  # type: ignore[arg-type]
        self.gone: set[str] = set()  #: channels that hung up after they were listed
        self._applications = applications

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        match path.split("/"):
            case ["applications"]:
                return [
                    {"name": f"line-1.{name}", "channel_ids": list(channels)}
                    for name, channels in self._applications.items()
                ]
            case ["channels"]:
                return [snapshot(CALLER, "operator-1"), snapshot(CONSULTANT, "201-2")]
            case ["channels", channel, "move"] if channel not in self.gone:
                start = {"type": "StasisStart", "channel": snapshot(channel, "moved")}
                self.registry.handle("StasisStart", start)
                return []
            case ["bridges"]:
                return [{"id": TALK, "name": FIRST, "channels": [CALLER, CONSULTANT]}]
        raise ChannelNotFound(path)


def snapshot(channel: str, name: str) -> dict[str, Any]:
    return {
        "id": channel,
        "name": f"PJSIP/{name}",
        "state": "Up",
        "caller": {"number": ""},
        "dialplan": {"exten": "111"},
        "creationtime": "2026-11-30T12:00:00.000+0000",
    }


async def left_by(instance: str, **applications: tuple[str, ...]) -> OrphanedChannels:
    return await find_orphans(Switch(**applications), instance, [THIRD])  # type: ignore[arg-type]


async def test_a_taken_over_conversation_is_not_the_first_consultants() -> None:
    for stale in (CALLER, CONSULTANT):
        named = {"a": (stale,), "b": (CALLER, CONSULTANT)}
        assert (await left_by(FIRST, **named)).orphans == set()
        found = await left_by(SECOND, **named)
        assert found.call_channels == {CALLER}
        assert found.conversations == {TALK: {CALLER, CONSULTANT}}
        assert found.stranded_consultants == set()


async def test_one_that_is_named_with_both_is_taken_whole() -> None:
    both = (CALLER, CONSULTANT)
    assert (await left_by(FIRST, a=both, b=both)).call_channels == {CALLER}


async def test_one_taken_over_in_part_goes_with_its_caller() -> None:
    """Both who had it are dead: who takes over from the one that has the caller gets all."""
    found = await left_by(FIRST, a=(CALLER,), b=(CONSULTANT,))
    assert found.conversations == {TALK: {CALLER, CONSULTANT}}
    assert (await left_by(FIRST, a=(CONSULTANT,), b=(CALLER,))).orphans == set()


async def test_one_taken_by_halves_is_torn_by_no_second_takeover() -> None:
    """Its caller came to us from the second; the consultant's leg is to follow, named with both."""
    switch = Switch(a=(CONSULTANT,), b=(CONSULTANT,), c=(CALLER,))
    half = {SECOND: (CALLER, CONSULTANT)}
    assert (await find_orphans(switch, FIRST, [THIRD], half)).orphans == set()  # type: ignore[arg-type]
    found = await find_orphans(switch, SECOND, [THIRD], half)  # type: ignore[arg-type]
    assert found.conversations == {TALK: {CALLER, CONSULTANT}}
    assert found.orphans == {CALLER, CONSULTANT}
    assert found.ours == {CALLER}


async def test_what_is_taken_over_at_this_moment_is_no_leak() -> None:
    found = await find_orphans(Switch(b=(CONSULTANT,), c=(CALLER,)), THIRD, [])  # type: ignore[arg-type]
    assert found.orphans == {CALLER}


async def test_what_a_running_controller_has_is_left_alone() -> None:
    assert (await left_by(FIRST, a=(CALLER,), c=(CALLER, CONSULTANT))).orphans == set()


async def test_who_hangs_up_before_the_move_is_in_no_conversation() -> None:
    """That consultant may be offered to somebody else by now."""
    switch = Switch(a=(CALLER, CONSULTANT))
    orphaned = await find_orphans(switch, FIRST, [THIRD])  # type: ignore[arg-type]
    switch.gone = {CONSULTANT}
    (call,) = (await take_over(switch.registry, orphaned)).calls
    assert [each.id for each in call.inside] == [CALLER]
    assert [each.id for each in switch.registry.all()] == [CALLER]
