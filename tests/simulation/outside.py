"""All that the product takes from outside its process, replaced for the time of one simulation."""

import asyncio
import gc
import logging
import random as random_module  # noqa: TID251 the product's own source, which is replaced
import secrets
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import aiohttp

from callcenter.platform.core import beats
from callcenter.telephony.asterisk import ari
from callcenter.telephony.asterisk.cluster import member_files, membership
from callcenter.telephony.asterisk.fence import Fence
from callcenter.telephony.calls.conversation.caller_audio import CallerAudio
from callcenter.telephony.calls.conversation.in_call_codes import InCallCodeReader
from callcenter.telephony.calls.journal import spool
from callcenter.telephony.controller import lost_call_recovery, takeover
from tests.seeds import SeededRandom
from tests.simulation.host import Host, SimulatedProcess
from tests.simulation.kernel import Kernel
from tests.simulation.loop import PROCESS, VirtualLoop
from tests.simulation.network import SessionFactory
from tests.simulation.servers import Database, nothing
from tests.simulation.switch import EPOCH

T = TypeVar("T")

CLOSE_ATTEMPTS = 50  # each of them passes one await


class _Beats:
    """In place of the phase of beats, which is another in each process."""

    def __rsub__(self, now: float) -> float:
        process = PROCESS.get()
        return now - (process.phase if isinstance(process, SimulatedProcess) else 0.0)


class _InlineExecutor:
    """In place of a pool of threads."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(work())
        return future

    def shutdown(self, *, wait: bool) -> None: ...


def _clock(loop: VirtualLoop) -> type[datetime]:
    class VirtualDatetime(datetime):
        """In place of `datetime`: now is a moment of the virtual clock."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "VirtualDatetime":
            return cls.fromtimestamp(EPOCH + loop.time(), tz)

    return VirtualDatetime


def _modules() -> list[ModuleType]:
    return [each for name, each in sys.modules.items() if name.startswith("callcenter.")]


@contextmanager
def replaced(
    loop: VirtualLoop,
    kernel: Kernel,
    host: Host,
    sessions: SessionFactory,
    database: Database,
    random: SeededRandom,
) -> Iterator[None]:
    """Within the block product code meets the simulated world alone."""

    def new_uuid() -> uuid.UUID:
        return uuid.UUID(int=random.getrandbits(128), version=4)

    def new_token(size: int | None = None) -> str:
        return f"{random.getrandbits(8 * (size or 32)):0{2 * (size or 32)}x}"

    web = SimpleNamespace(**vars(aiohttp))
    web.ClientSession = sessions
    web.TCPConnector = lambda **_: None
    recovery: dict[str, Any] = {
        "appeals": database,
        "enqueue_after": nothing,
        "outbound_calls": SimpleNamespace(live=nothing, EVENTS_PER_CALL=9000),
        "recordings": SimpleNamespace(of_appeal=nothing),
        "unit_of_work": database.unit_of_work,
    }
    with ExitStack() as stack:
        for owner, name, value in [
            (time, "monotonic", loop.time),
            (Fence.__init__, "__defaults__", (loop.time,)),
            (CallerAudio.__init__, "__defaults__", (loop.time,)),
            (InCallCodeReader.__init__, "__defaults__", (loop.time,)),
            (time, "time", lambda: EPOCH + loop.time()),
            (secrets, "token_hex", new_token),
            (beats, "_PHASE", _Beats()),
            (ari, "aiohttp", web),
            (ari, "random", random),
            (member_files, "os", kernel.os),
            (member_files, "fcntl", kernel.fcntl),
            (membership, "cpu_pressure", host.pressure),
            (spool, "ThreadPoolExecutor", _InlineExecutor),
            (spool, "os", kernel.os),
            (spool, "fcntl", kernel.fcntl),
            (spool, "mode_in", lambda _: 0o600),
            (takeover, "unit_of_work", database.unit_of_work),
            (takeover, "callbacks", SimpleNamespace(release=nothing)),
            *((lost_call_recovery, name, value) for name, value in recovery.items()),
            *_everywhere("uuid4", uuid.uuid4, new_uuid),
            (uuid, "uuid4", new_uuid),
            *_everywhere("datetime", datetime, _clock(loop)),
        ]:
            stack.enter_context(patch.object(owner, name, value))
        state = random_module.getstate()
        random_module.seed(random.getrandbits(64))
        stack.callback(random_module.setstate, state)
        yield


def _everywhere(name: str, former: object, new: object) -> list[tuple[ModuleType, str, object]]:
    """Of all modules of the product that imported this name."""
    return [
        (module, name, new)
        for module in _modules()
        if getattr(module, "__dict__", {}).get(name) is former
    ]


@contextmanager
def without_collection() -> Iterator[None]:
    """Within the block nothing is collected: what the dead left must not run again."""
    was_enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # what is here before is not looked at in the end
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def discard(loop: VirtualLoop) -> None:
    """End what is left of a world: its coroutines end now, and nobody hears of it."""
    loop.is_over = True
    level = logging.root.manager.disable
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    ended: set[asyncio.Task[object]] = set()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with loop.is_running_now():  # what they begin on their way out is not for another loop
                while left := {*loop.graveyard, *asyncio.all_tasks(loop)} - ended:
                    for task in left:
                        _close(task.get_coro())
                    ended |= left
            loop.discard()
            gc.collect()
    finally:
        sys.unraisablehook = hook
        logging.disable(level)
        loop.close()


def _close(coroutine: object) -> None:
    """Close a coroutine; what it still awaits on its way out is closed too."""
    assert isinstance(coroutine, Coroutine)
    for _ in range(CLOSE_ATTEMPTS):
        try:
            coroutine.close()
        except Exception:  # noqa: S112 it awaited something, or failed: it ends all the same
            continue
        return
