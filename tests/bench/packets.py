"""Both sides with packets of more than 20 ms of sound, of which two cores carry more calls."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from callcenter.launcher.managed_process import LaunchContext, ProcessSpec
from callcenter.launcher.supervisor import LaunchPlan, LaunchStep
from callcenter.platform.core.settings import Settings
from tests.bench.compare import SIDES
from tests.bench.sides import Plain, Product


def sides_with(frames: int) -> dict[str, type[Plain] | type[Product]]:
    """Sides whose switch sends so many frames of 20 ms in a packet, if telephones ask for it."""
    return SIDES if frames == 1 else {"plain": _FramedPlain, "ours": _FramedProduct}


class _FramedPlain(Plain):
    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        return _requested(settings, super().plan(settings, around))


class _FramedProduct(Product):
    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        return _requested(settings, super().plan(settings, around))


def _requested(settings: Settings, plan: LaunchPlan) -> LaunchPlan:
    async def let_them_ask(before: Callable[[], Awaitable[None]] | None) -> None:
        if before is not None:
            await before()
        rendered = settings.asterisk_folder / "etc" / "pjsip.conf"
        requested = "type = endpoint\nuse_ptime = yes"
        rendered.write_text(rendered.read_text().replace("type = endpoint", requested))

    def changed(member: ProcessSpec | LaunchStep) -> ProcessSpec | LaunchStep:
        if isinstance(member, ProcessSpec) and member.name == "asterisk":
            return replace(member, prepare=partial(let_them_ask, member.prepare))
        return member

    return replace(plan, stages=[[changed(each) for each in stage] for stage in plan.stages])
