"""Recording by MixMonitor on a real Asterisk, and its confirmation."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from callcenter.telephony.asterisk.ami import Ami, Answer
from callcenter.telephony.asterisk.mixmonitor import (
    POLL_INTERVAL,
    START_TIMEOUT,
    MixMonitorRecorder,
)
from callcenter.telephony.calls.ports import RecordingUnconfirmed
from tests.calls.tcp_proxies import AmiRelay
from tests.polling import until
from tests.protocol.bare_asterisk import SECRET, BareAsterisk
from tests.protocol.relay import Relay
from tests.streams import port_of, stream_server

SECOND = 8000 * 2 * 2  # bytes


@pytest.fixture
def file(asterisk: BareAsterisk) -> Path:
    return asterisk.folder / "spool" / "a.raw"


async def channel_that_hears_a_tone(ami: Ami) -> str:
    """The name of a channel that says nothing and hears 1004 Hz."""
    await ami.action(
        {
            "Action": "Originate",
            "Channel": "Local/silence@line/n",
            "Context": "line",
            "Exten": "milliwatt",
            "Priority": "1",
            "Async": "true",
        }
    )
    async with asyncio.timeout(10):
        while True:
            answer = await ami.action({"Action": "CoreShowChannels"})
            for item in answer.items:
                if item["Application"] == "Milliwatt":
                    return item["Channel"]


async def hang_up(ami: Ami, channel: str) -> None:
    await ami.action({"Action": "Hangup", "Channel": channel})


def open_files(asterisk: BareAsterisk, file: Path) -> list[Path]:
    descriptors = Path(f"/proc/{asterisk.pid}/fd").iterdir()
    return [each for each in descriptors if each.exists() and each.resolve() == file]


def level(channel: np.ndarray, hertz: float) -> float:
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(channel)) / 8000)
    return float(abs((channel * turns).mean()) * 2)


async def test_heard_is_right_said_is_left_and_stopped_means_closed(
    asterisk: BareAsterisk, ami: Ami, file: Path
) -> None:
    recorder = MixMonitorRecorder(ami)
    channel = await channel_that_hears_a_tone(ami)
    await recorder.start(channel, file)
    assert open_files(asterisk, file)
    await until(lambda: file.stat().st_size >= SECOND, "a second of sound")
    await recorder.stop(channel, file, gone=False)
    assert not open_files(asterisk, file)
    both = np.fromfile(file, "<i2").astype(float)
    left, right = both[0::2], both[1::2]
    assert len(left) == len(right)
    assert level(right, 1004) > 10_000
    assert not left.any()


async def test_two_recordings_of_one_channel_are_stopped_one_by_one(
    asterisk: BareAsterisk, ami: Ami, file: Path
) -> None:
    recorder = MixMonitorRecorder(ami)
    channel = await channel_that_hears_a_tone(ami)
    other = file.with_name("b.raw")
    await recorder.start(channel, file)
    await recorder.start(channel, other)
    await recorder.stop(channel, file, gone=False)
    assert open_files(asterisk, other)
    await recorder.stop(channel, other, gone=False)
    assert not open_files(asterisk, other)


async def test_an_unwritable_file_is_no_recording_despite_asterisks_success(
    ami: Ami, file: Path
) -> None:
    channel = await channel_that_hears_a_tone(ami)
    with pytest.raises(RecordingUnconfirmed, match="cannot write"):
        await MixMonitorRecorder(ami).start(channel, Path("/proc/nowhere/a.raw"))


async def test_a_recording_whose_start_is_answered_late_is_proved_later(
    asterisk: BareAsterisk, ami: Ami, file: Path
) -> None:
    relay = AmiRelay(asterisk.ami_port)
    async with (
        stream_server(relay.carry) as server,
        Ami(port=port_of(server), secret=SECRET) as slow,
    ):
        await slow.ready(20)
        channel, recorder = await channel_that_hears_a_tone(ami), MixMonitorRecorder(slow)
        relay.delay = 1.0
        with pytest.raises(RecordingUnconfirmed, match="no answer"):
            await recorder.start(channel, file)
        await until(file.exists, "Asterisk records all the same")
        relay.delay = 0.0
        await recorder.start(channel, file)
        assert open_files(asterisk, file)
        await recorder.stop(channel, file, gone=False)
    assert not open_files(asterisk, file)


@pytest.fixture
def evidence(file: Path) -> Iterator[Path]:
    file.write_bytes(b"evidence")
    yield file
    assert file.read_bytes() == b"evidence"


async def test_a_recording_is_never_overwritten(ami: Ami, evidence: Path) -> None:
    channel = await channel_that_hears_a_tone(ami)
    with pytest.raises(RecordingUnconfirmed, match="never overwritten"):
        await MixMonitorRecorder(ami).start(channel, evidence)


async def test_a_channel_that_has_gone_cannot_be_recorded(ami: Ami, file: Path) -> None:
    with pytest.raises(RecordingUnconfirmed, match="No such channel"):
        await MixMonitorRecorder(ami).start("Local/nobody", file)


@pytest.mark.parametrize(
    "name", ["a,b.raw", "a.raw,D,touch x.raw", "a.wav", "${x}.raw", '"a.raw', "a(b.raw", "a\n.raw"]
)
async def test_a_file_name_that_mixmonitor_could_misread_is_refused(
    name: str, tmp_path: Path
) -> None:
    recorder = MixMonitorRecorder(Ami(port=1, secret=SECRET))
    with pytest.raises(RecordingUnconfirmed, match="could misread"):
        await recorder.start("Local/x", tmp_path / name)


async def test_a_folder_may_have_spaces_and_letters_of_any_language(
    asterisk: BareAsterisk, ami: Ami, file: Path
) -> None:
    file = file.parent / "Жазбалар мен файлдар" / "a.raw"
    channel = await channel_that_hears_a_tone(ami)
    recorder = MixMonitorRecorder(ami)
    await recorder.start(channel, file)
    assert open_files(asterisk, file)
    await recorder.stop(channel, file, gone=False)


async def test_a_file_made_while_we_stood_still_is_recorded(tmp_path: Path) -> None:
    class WillingAmi:
        async def action(self, *_: object, **__: object) -> Answer:
            return Answer({}, ())

    file = tmp_path / "a.raw"
    starting = asyncio.create_task(MixMonitorRecorder(cast(Ami, WillingAmi())).start("x", file))
    await asyncio.sleep(2 * POLL_INTERVAL)  # it looks for the file
    file.touch()
    time.sleep(START_TIMEOUT)  # noqa: ASYNC251 this is the standstill
    await starting


@pytest.mark.parametrize("hang_up_reported", [True, False])
async def test_after_a_hang_up_the_file_is_proved_closed(
    asterisk: BareAsterisk, ami: Ami, file: Path, hang_up_reported: bool
) -> None:
    recorder = MixMonitorRecorder(ami)
    channel = await channel_that_hears_a_tone(ami)
    await recorder.start(channel, file)
    await hang_up(ami, channel)
    await recorder.stop(channel, file, gone=hang_up_reported)
    assert not open_files(asterisk, file)


async def test_another_controller_can_stop_it(asterisk: BareAsterisk, ami: Ami, file: Path) -> None:
    channel = await channel_that_hears_a_tone(ami)
    await MixMonitorRecorder(ami).start(channel, file)
    await MixMonitorRecorder(ami).stop(channel, file, gone=False)
    assert not open_files(asterisk, file)


async def test_what_was_never_recorded_is_not_proved_stopped(ami: Ami, file: Path) -> None:
    channel = await channel_that_hears_a_tone(ami)
    with pytest.raises(RecordingUnconfirmed, match="No such file"):
        await MixMonitorRecorder(ami).stop(channel, file, gone=False)


async def test_a_file_that_stays_open_is_not_proved_closed(ami: Ami, file: Path) -> None:
    channel = await channel_that_hears_a_tone(ami)
    recorder = MixMonitorRecorder(ami)
    await recorder.start(channel, file)
    with file.open("ab"), pytest.raises(RecordingUnconfirmed, match="still being written"):
        await recorder.stop(channel, file, gone=False)
    await recorder.stop(channel, file, gone=False)


async def test_a_stop_outlives_a_lost_connection(asterisk: BareAsterisk, file: Path) -> None:
    relay = Relay(asterisk.ami_port)
    async with (
        stream_server(relay.carry) as server,
        Ami(port=port_of(server), secret=SECRET) as ami,
    ):
        await ami.ready(20)
        channel = await channel_that_hears_a_tone(ami)
        recorder = MixMonitorRecorder(ami)
        await recorder.start(channel, file)
        asterisk.freeze()
        stopping = asyncio.create_task(recorder.stop(channel, file, gone=False))
        await asyncio.sleep(0)
        relay.cut()
        await until(lambda: not ami.connected.is_set(), "the cut is noticed")
        asterisk.thaw()
        await stopping
    assert not open_files(asterisk, file)
