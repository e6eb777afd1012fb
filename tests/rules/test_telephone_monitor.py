"""What counts as the death of a consultant's telephone, by what is heard and registered of it."""

import asyncio
from dataclasses import replace

import pytest

from callcenter.telephony.asterisk.channel import Registration
from callcenter.telephony.controller.telephone_monitor import TelephoneMonitor
from tests.flow.telephone_deaths import AGAIN, ELSEWHERE, HOME, NAME, SILENT, Watch
from tests.polling import until


class _Leg:
    """A consultant's leg, and what Asterisk knows of its telephone."""

    is_in_application = True

    def __init__(self, name: str = NAME) -> None:
        self.id, self.name = "leg", name
        self.sends = True
        self.registered: Registration | None = HOME
        self.is_gone = self.is_probed = False
        self._packets = self.registrations_read = 0

    async def packets_received(self) -> int:
        self._packets += self.sends
        return self._packets

    async def registration(self, _extension: str) -> Registration | None:
        self.registrations_read += 1
        return self.registered

    async def is_reachable(self, _registration: Registration) -> bool:
        return self.registered is not SILENT

    async def cut_off(self) -> None:
        self.is_gone = True


@pytest.mark.parametrize("sends", [False, True], ids=["silent", "heard"])
@pytest.mark.parametrize(
    ("registered", "is_dead"),
    [(HOME, False), (AGAIN, False), (SILENT, True), (None, True), (ELSEWHERE, True)],
    ids=["there", "again", "unreachable", "unregistered", "elsewhere"],
)
async def test_only_a_silent_telephone_that_is_gone_is_dead(
    registered: Registration | None, is_dead: bool, sends: bool
) -> None:
    leg = _Leg()
    watch = Watch(leg)
    await watch.look(6.0)
    leg.sends, leg.registered = sends, registered
    await watch.look(12.0)
    assert leg.is_gone is (is_dead and not sends)


async def test_a_silent_telephone_that_registers_again_is_probed_once() -> None:
    leg = _Leg()
    watch = Watch(leg)
    await watch.look(3.0)
    leg.sends = False
    await watch.look(30.0)
    assert set(watch.actions) == {"PJSIPQualify"}
    for expires in ("1764000060", "1764000120"):
        leg.registered = replace(HOME, expires=expires)
        await watch.look(9.0)
    assert watch.actions.count("AOCMessage") == 2
    assert leg.is_probed, "so that an answer of 481 is told from a hang-up"


async def test_a_moment_of_silence_ends_nothing() -> None:
    leg = _Leg()
    watch = Watch(leg)
    await watch.look(3.0)
    for _ in range(5):
        leg.sends, leg.registered = False, SILENT
        await watch.look(6.0)
        leg.sends, leg.registered = True, HOME
        await watch.look(3.0)
    assert not leg.is_gone


async def test_a_callers_silence_is_nobodys_death() -> None:
    leg = _Leg("PJSIP/operator-0000000a")
    leg.sends, leg.registered = False, None
    watch = Watch(leg)
    await watch.look(60.0)
    assert not leg.is_gone


async def test_a_legs_registration_is_read_before_its_telephone_can_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leg = _Leg()
    watch = Watch(leg)
    with monkeypatch.context() as patch:
        patch.setattr(TelephoneMonitor, "check", lambda _: asyncio.sleep(0))  # comes too late
        running = asyncio.create_task(watch.monitor.run())
        await until(lambda: leg.registrations_read, "the registration is read", 5.0)
        running.cancel()
    leg.sends, leg.registered = False, ELSEWHERE
    await watch.look(15.0)
    assert leg.is_gone
