"""The simulated machine: virtual time, who gets the processor, and how a process ends."""

import asyncio
from collections.abc import Iterator

import pytest

from callcenter.platform.core.late_answers import answer_within
from tests.seeds import SeededRandom
from tests.simulation.host import Host, Pressure, SimulatedProcess
from tests.simulation.kernel import Kernel
from tests.simulation.loop import NumberedTask, Stalled, VirtualLoop
from tests.simulation.network import Network, Trouble
from tests.simulation.outside import discard, without_collection


@pytest.fixture
def host() -> Iterator[Host]:
    with without_collection():
        loop = VirtualLoop()
        yield Host(loop, Kernel(), SeededRandom("host"))
        discard(loop)


@pytest.fixture
def process(host: Host) -> SimulatedProcess:
    return SimulatedProcess(host, "line-1", 0.0)


async def ticking(ticks: list[float], pause: float = 1.0) -> None:
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(pause)
            ticks.append(loop.time())
    finally:
        ticks.append(-1.0)


def test_time_jumps_from_timer_to_timer(host: Host, process: SimulatedProcess) -> None:
    ticks: list[float] = []
    process.start(ticking(ticks, 600.0))
    host.loop.run_until(host.loop.now + 3000.0)
    assert ticks == [1600.0, 2200.0, 2800.0, 3400.0, 4000.0]


def test_a_killed_process_runs_nothing_any_more(host: Host, process: SimulatedProcess) -> None:
    ticks: list[float] = []
    process.start(ticking(ticks))
    host.loop.run_until(1002.5)
    process.end("killed")
    host.loop.run_until(1010.0)
    assert ticks == [1001.0, 1002.0]


def test_the_end_of_a_world_leaves_nothing_to_another_loop() -> None:
    async def leave() -> None:
        pytest.fail("nothing runs any more")

    async def work() -> None:
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.shield(leave())

    before, other = asyncio.get_event_loop_policy(), asyncio.new_event_loop()
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        asyncio.set_event_loop(other)
        with without_collection():
            loop = VirtualLoop()
            host = Host(loop, Kernel(), SeededRandom("host"))
            SimulatedProcess(host, "line-1", 0.0).start(work())
            loop.run_until(1010.0)
            discard(loop)
        assert asyncio.all_tasks(other) == set()
    finally:
        asyncio.set_event_loop_policy(before)
        other.close()


def test_a_stopped_process_goes_on_where_it_was(host: Host, process: SimulatedProcess) -> None:
    ticks: list[float] = []
    process.start(ticking(ticks))
    host.loop.run_until(1001.5)
    process.stop()
    assert process.state == "T"
    host.loop.run_until(1007.0)
    process.go_on()
    host.loop.run_until(1008.5)
    assert ticks == [1001.0, 1007.0, 1008.0]


def test_waiting_for_the_processor_is_counted(host: Host, process: SimulatedProcess) -> None:
    host.pressures.append(Pressure(1000.0, 1100.0, 0.5))
    ticks: list[float] = []
    process.start(ticking(ticks))
    host.loop.run_until(1100.0)
    assert 20 < len(ticks) < 90
    assert process.waited > 10
    assert host.pressure() == pytest.approx(100.0)


def test_sets_of_tasks_keep_the_order_of_making(host: Host, process: SimulatedProcess) -> None:
    async def started() -> list[str]:
        tasks = {asyncio.ensure_future(asyncio.sleep(1)) for _ in range(50)}
        await asyncio.gather(*tasks)
        return [each.get_name() for each in tasks]

    task = process.start(started())
    host.loop.run_until(1010.0)
    names = task.result()
    assert isinstance(task, NumberedTask)
    assert names == sorted(names, key=lambda name: int(name.removeprefix("task-")))


def test_what_spins_at_one_moment_is_found(host: Host) -> None:
    async def forever() -> None:
        while True:
            await asyncio.sleep(0)

    host.loop.start(forever())
    with pytest.raises(Stalled):
        host.loop.run_until(1001.0)


@pytest.mark.parametrize("pause", [0.0, 5.0, 30.0])
def test_an_answer_that_came_while_we_waited_counts(
    host: Host, process: SimulatedProcess, pause: float
) -> None:
    """Also on a machine where each turn is late: it takes several to be read."""
    network = Network(host.loop, SeededRandom("network"))
    host.pressures.append(Pressure(1000.0 + pause, 1100.0, 2.0))

    async def ask() -> str:
        for _ in range(30):
            async with answer_within(1.0):
                answer: str = await network.call("switch", lambda: "here")
        return answer

    task = process.start(ask())
    host.loop.run_until(2000.0)
    assert task.result() == "here"


def test_what_is_sent_in_a_cut_arrives_after_it(host: Host, process: SimulatedProcess) -> None:
    network = Network(host.loop, SeededRandom("network"))
    network.troubles.append(Trouble(1000.0, 1005.0, "line-1", 0.0))
    arrived: list[float] = []
    task = process.start(network.call("switch", lambda: arrived.append(host.loop.now)))
    host.loop.run_until(1010.0)
    assert task.done()
    assert 1005.0 <= arrived[0] < 1005.3
