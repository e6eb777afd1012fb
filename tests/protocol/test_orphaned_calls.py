"""Ownership of orphaned calls, as Asterisk names channels while they are moved."""

from typing import Any

from callcenter.telephony.asterisk.cluster.orphaned_calls import OrphanedChannels, find_orphans

FIRST, SECOND, THIRD = "line-1.a", "line-1.b", "line-1.c"
CALLER, CONSULTANT = "1764230400.1", f"called-00000000-0000-0000-0000-000000000001-{FIRST}"
TALK = f"talk-{CALLER}-1"


class Switch:
    """A fake ARI for `find_orphans`."""

    application = THIRD

    def __init__(self, **applications: tuple[str, ...]) -> None:
        """Channels by the application that they are named with: of instances a, b and c."""
        self._applications = applications

    async def request(self, method: str, path: str) -> list[dict[str, Any]]:
        match path:
            case "applications":
                return [
                    {"name": f"line-1.{name}", "channel_ids": list(channels)}
                    for name, channels in self._applications.items()
                ]
            case "channels":
                return [
                    {"id": CALLER, "name": "PJSIP/operator-1", "state": "Up"},
                    {"id": CONSULTANT, "name": "PJSIP/201-2", "state": "Up"},
                ]
        return [{"id": TALK, "name": FIRST, "channels": [CALLER, CONSULTANT]}]


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


async def test_what_is_taken_over_at_this_moment_is_no_leak() -> None:
    found = await find_orphans(Switch(b=(CONSULTANT,), c=(CALLER,)), THIRD, [])  # type: ignore[arg-type]
    assert found.orphans == {CALLER}


async def test_what_a_running_controller_has_is_left_alone() -> None:
    assert (await left_by(FIRST, a=(CALLER,), c=(CALLER, CONSULTANT))).orphans == set()
