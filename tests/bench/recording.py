"""Measures the ways to record a conversation; docs/decisions/0003 holds what came of it.

    python -m tests.bench.recording scenes
    python -m tests.bench.recording cpu --calls 20 --seconds 10 --rounds 4

Real telephones (SIP and RTP) through the real Asterisk with our rendered configuration.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.ari import Ari
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.mixmonitor import MixMonitorRecorder
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from tests.asterisk.switch import CONSULTANTS, PASSWORD, Switch, account, with_free_ports
from tests.polling import until

RATE = 8000
CALLER, CONSULTANT = 400.0, 1000.0  # hertz; whole periods in 10 ms, so that neither looks like both


@dataclass
class Talk:
    """A conversation: the telephones' ends, and Asterisk's channel of the caller."""

    caller: SipCall
    consultant: SipCall
    leg: Channel
    bridge: str


class Bench:
    """An Asterisk, a controller and two telephones that can hold many calls."""

    def __init__(
        self, switch: Switch, ami: Ami, board: AsteriskSwitch, calls: list[Channel]
    ) -> None:
        self.switch, self.ami, self.board, self.calls = switch, ami, board, calls
        self.folder = switch.settings.spool
        self.folder.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def talk(self, caller: Phone, consultant: Phone) -> AsyncIterator[Talk]:
        existing = len(self.calls)
        call = await caller.call("111")
        await until(lambda: len(self.calls) > existing, "the call is claimed")
        leg = self.calls[-1]
        await leg.answer()
        await call.answered()
        ringing = self.board.ring("1001", leg, "ru", 10)
        answering = asyncio.create_task(_answer(consultant))
        async with ringing as other, self.board.connect(leg, other):
            bridges = await self.board.channels.ari.request("GET", "bridges")
            bridge = next(each["id"] for each in bridges if leg.id in each["channels"])
            call.send_tone(CALLER)
            (other_end := await answering).send_tone(CONSULTANT)
            yield Talk(call, other_end, leg, bridge)
        await call.hang_up()
        self.board.channels.untrack(leg)

    async def start(self, talk: Talk, way: str, name: str) -> str:
        """Start MixMonitor in this way; returns its id."""
        base = self.folder / name
        fields = {
            "D": {"File": f"{base}.raw", "Options": "Di(BENCH)"},
            "Db": {"File": f"{base}.raw", "Options": "Dbi(BENCH)"},
            "rt": {"Options": f"i(BENCH)r({base}-l.sln)t({base}-r.sln)"},
            "rtn": {"Options": f"ni(BENCH)r({base}-l.sln)t({base}-r.sln)"},
            "mixed": {"File": f"{base}.sln", "Options": "i(BENCH)"},
        }[way]
        answer = await self.ami.action({"Action": "MixMonitor", "Channel": talk.leg.name} | fields)
        return answer.fields["MixMonitorID"]

    async def stop(self, talk: Talk, monitor: str) -> None:
        await self.ami.action(
            {"Action": "StopMixMonitor", "Channel": talk.leg.name, "MixMonitorID": monitor}
        )

    def make_folder_of_ari(self) -> None:
        folder = self.switch.settings.asterisk_folder / "spool" / "recording"
        folder.mkdir(parents=True, exist_ok=True)

    def channels(self, way: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        base = self.folder / name
        if way.startswith("D"):
            both = np.fromfile(f"{base}.raw", "<i2")
            return both[0::2].astype(float), both[1::2].astype(float)
        left, right = (np.fromfile(f"{base}-{side}.sln", "<i2").astype(float) for side in "lr")
        return left, right


async def _answer(consultant: Phone) -> SipCall:
    call = await consultant.next_call()
    await call.answer()
    return call


@asynccontextmanager
async def bench() -> AsyncIterator[tuple[Bench, Phone, Phone]]:
    with tempfile.TemporaryDirectory() as folder:
        settings = with_free_ports(Settings(var=Path(folder)))
        async with AsyncExitStack() as stack:
            switch = await stack.enter_async_context(Switch(settings, [account("1001", PASSWORD)]))
            ami = await stack.enter_async_context(
                Ami(
                    port=settings.ami_port,
                    secret=read_secret(settings.secrets_folder, "ami"),
                )
            )
            await ami.ready(20)
            calls: list[Channel] = []
            secret = read_secret(settings.secrets_folder, "ari")
            node = AsteriskNode(settings, "line-1", secret)
            node.channels.on_call(calls.append)
            node.on_instance_dead(_fail_on_takeover)
            board = AsteriskSwitch(settings, node, MixMonitorRecorder(ami))
            for work in (node.ari.run(), node.membership.run()):
                stack.callback(asyncio.create_task(work).cancel)
            await until(node.ari.connected.is_set, "connected")
            caller = await stack.enter_async_context(Phone(server=switch.sip))
            consultant = await stack.enter_async_context(
                Phone(address=CONSULTANTS, server=switch.sip, user="1001", password=PASSWORD)
            )
            await consultant.register(3600)
            yield Bench(switch, ami, board, calls), caller, consultant


async def _fail_on_takeover(instance: str, in_order: bool) -> None:
    raise AssertionError(f"calls of {instance} were left behind, in order: {in_order}")


# What is in the files


def spans(channel: np.ndarray, hertz: float) -> str:
    """Where a tone is heard, as in `0.00-5.01`, in seconds; blocks of 10 ms."""
    block = RATE // 100
    count = len(channel) // block
    turns = np.exp(-2j * np.pi * hertz * np.arange(block) / RATE)
    level = abs((channel[: count * block].reshape(count, block) * turns).mean(axis=1)) * 2
    edges = np.flatnonzero(np.diff(np.concatenate(([0], level > 500, [0]))))
    found = [f"{a / 100:.2f}-{b / 100:.2f}" for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return " ".join(found) or "nowhere"


Scene = Callable[[Talk], Awaitable[None]]


async def both_speak(talk: Talk) -> None:
    await asyncio.sleep(5)


async def caller_sends_nothing(talk: Talk) -> None:
    await asyncio.sleep(1)
    talk.caller.stop_sending()
    await asyncio.sleep(3)
    talk.caller.send_tone(CALLER)
    await asyncio.sleep(1)


async def consultant_sends_nothing(talk: Talk) -> None:
    await asyncio.sleep(1)
    talk.consultant.stop_sending()
    await asyncio.sleep(3)
    talk.consultant.send_tone(CONSULTANT)
    await asyncio.sleep(1)


async def nobody_sends(talk: Talk) -> None:
    await asyncio.sleep(1)
    talk.caller.stop_sending()
    talk.consultant.stop_sending()
    await asyncio.sleep(3)
    talk.caller.send_tone(CALLER)
    talk.consultant.send_tone(CONSULTANT)
    await asyncio.sleep(1)


async def caller_ends_silent(talk: Talk) -> None:
    await asyncio.sleep(2)
    talk.caller.stop_sending()
    await asyncio.sleep(3)


async def caller_holds(talk: Talk) -> None:
    await asyncio.sleep(1)
    await talk.caller.hold()
    await asyncio.sleep(3)
    await talk.caller.resume()
    await asyncio.sleep(1)


async def consultant_holds(talk: Talk) -> None:
    await asyncio.sleep(1)
    await talk.consultant.hold()
    await asyncio.sleep(3)
    await talk.consultant.resume()
    await asyncio.sleep(1)


async def caller_presses_keys(talk: Talk) -> None:
    await asyncio.sleep(1)
    await talk.caller.press("1234")
    await asyncio.sleep(3)


async def both_at_once(talk: Talk) -> None:
    for _ in range(4):
        talk.caller.send_silence()
        talk.consultant.send_silence()
        await asyncio.sleep(0.5)
        talk.caller.send_tone(CALLER)
        talk.consultant.send_tone(CONSULTANT)
        await asyncio.sleep(0.5)


SCENES: tuple[Scene, ...] = (
    both_speak,
    caller_sends_nothing,
    consultant_sends_nothing,
    nobody_sends,
    caller_ends_silent,
    caller_holds,
    consultant_holds,
    caller_presses_keys,
    both_at_once,
)


@click.group()
def recording() -> None:
    """Measure the ways to record a conversation."""


@recording.command()
def scenes() -> None:
    """What is in the files when the parties behave in this way or that."""
    asyncio.run(_scenes())


async def _scenes() -> None:
    ways = ("D", "Db", "rt", "rtn")
    async with bench() as (rig, caller, consultant):
        for scene in SCENES:
            async with rig.talk(caller, consultant) as talk:
                monitors = [await rig.start(talk, way, f"{scene.__name__}-{way}") for way in ways]
                began = time.monotonic()
                await scene(talk)
                took = time.monotonic() - began
                for monitor in monitors:
                    await rig.stop(talk, monitor)
            click.echo(f"{scene.__name__}: {took:.2f} s")
            for way in ways:
                left, right = rig.channels(way, f"{scene.__name__}-{way}")
                click.echo(
                    f"  {way:4} {len(left) / RATE:5.2f} s left, {len(right) / RATE:5.2f} s right;"
                    f" caller {spans(left, CALLER)}; consultant {spans(right, CONSULTANT)};"
                    f" crossed: {spans(left, CONSULTANT)}, {spans(right, CALLER)}"
                )


# What it costs


@recording.command()
@click.option("--calls", default=20)
@click.option("--seconds", default=10.0)
@click.option("--rounds", default=4)
def cpu(calls: int, seconds: float, rounds: int) -> None:
    """Asterisk's CPU for each second of each conversation, the ways in turn."""
    asyncio.run(_cpu(calls, seconds, rounds))


async def _cpu(calls: int, seconds: float, rounds: int) -> None:
    ways = ("nothing", "D", "rt", "mixed", "snoop", "bridge")
    used: dict[str, list[float]] = {way: [] for way in ways}
    async with AsyncExitStack() as stack:
        rig, caller, consultant = await stack.enter_async_context(bench())
        # ARI's own recording needs these two; the product does not.
        await asyncio.to_thread(rig.make_folder_of_ari)
        await rig.switch.cli("module load chan_bridge_media.so")
        talks = [
            await stack.enter_async_context(rig.talk(caller, consultant)) for _ in range(calls)
        ]
        for turn in range(rounds):
            for way in ways:
                spent = await _window(rig, talks, way, turn, seconds)
                used[way].append(spent * 1000 / (calls * seconds))
    for way in ways:
        every = " ".join(f"{value:.2f}" for value in used[way])
        click.echo(f"{way:8} {statistics.median(used[way]):.2f} ms a call-second ({every})")


async def _window(rig: Bench, talks: list[Talk], way: str, turn: int, seconds: float) -> float:
    """CPU seconds that Asterisk used while all talks were recorded in this way."""
    names = [f"{way}-{turn}-{number}" for number in range(len(talks))]
    ari = rig.board.channels.ari
    monitors: list[str] = []
    limit = str(int(seconds) + 2)
    for talk, name in zip(talks, names, strict=True):
        if way == "snoop":
            for spy in ("in", "out"):
                snoop = {"spy": spy, "app": ari.application}
                await ari.request("POST", f"channels/{talk.leg.id}/snoop/{name}-{spy}", snoop)
                await until(lambda: rig.calls[-1].id == f"{name}-{spy}", "the snoop is in Stasis")  # noqa: B023
                await _record(ari, f"channels/{name}-{spy}", f"{name}-{spy}", limit)
        elif way == "bridge":
            await _record(ari, f"bridges/{talk.bridge}", name, limit)
        elif way != "nothing":
            monitors.append(await rig.start(talk, way, name))
    await asyncio.sleep(1)
    before = _cpu_seconds(rig.switch.pid)
    await asyncio.sleep(seconds)
    spent = _cpu_seconds(rig.switch.pid) - before
    for talk, monitor in zip(talks, monitors, strict=False):
        await rig.stop(talk, monitor)
    if way == "snoop":
        for name in names:
            for spy in ("in", "out"):
                await ari.request("DELETE", f"channels/{name}-{spy}")
    await asyncio.sleep(3)  # ARI's recording of a bridge ends by itself
    return spent


async def _record(ari: Ari, path: str, name: str, limit: str) -> None:
    expected = {"name": name, "format": "wav", "maxDurationSeconds": limit}
    await ari.request("POST", f"{path}/record", expected)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    recording()
