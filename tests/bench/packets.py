"""Both sides with packets of more than 20 ms of sound, of which two cores carry more calls."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from callcenter.settings import Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.supervisor import Plan, Step
from tests.bench.compare import SIDES
from tests.bench.sides import Plain, Product


def sides_with(frames: int) -> dict[str, type[Plain] | type[Product]]:
    """Sides whose switch sends so many frames of 20 ms in a packet, if telephones ask for it."""
    return SIDES if frames == 1 else {"plain": _AskedPlain, "ours": _AskedProduct}


class _AskedPlain(Plain):
    def plan(self, settings: Settings, around: Surroundings) -> Plan:
        return _asked(settings, super().plan(settings, around))


class _AskedProduct(Product):
    def plan(self, settings: Settings, around: Surroundings) -> Plan:
        return _asked(settings, super().plan(settings, around))


def _asked(settings: Settings, plan: Plan) -> Plan:
    async def let_them_ask(before: Callable[[], Awaitable[None]] | None) -> None:
        if before is not None:
            await before()
        rendered = settings.asterisk_folder / "etc" / "pjsip.conf"
        asked = "type = endpoint\nuse_ptime = yes"
        rendered.write_text(rendered.read_text().replace("type = endpoint", asked))

    def changed(member: Part | Step) -> Part | Step:
        if isinstance(member, Part) and member.name == "asterisk":
            return replace(member, prepare=partial(let_them_ask, member.prepare))
        return member

    return replace(plan, stages=[[changed(each) for each in stage] for stage in plan.stages])
