"""A real Asterisk with the smallest configuration for ARI and AMI: no SIP.

What is tested with it are the clients of ARI and AMI, so the configuration here is theirs alone.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import ROOT
from callcenter.telephony.asterisk.resource_ids import ASTERISK_USER

TREE = ROOT / "var" / "asterisk-tree"
SECRET = "a secret of the tests"
LIMIT = 20.0  # seconds for anything that is polled
CLAIM_TIMEOUT = 3.0  # seconds that a call is offered: what a busy machine claims it within

MODULES = """\
pbx_config res_sorcery_config res_websocket_client res_timing_timerfd bridge_simple
bridge_softmix bridge_holding format_pcm format_sln format_wav codec_alaw codec_ulaw
codec_resample app_mixmonitor app_milliwatt app_dial app_userevent func_devstate
res_manager_devicestate res_http_websocket res_stasis res_stasis_answer res_stasis_playback
res_stasis_recording res_stasis_snoop res_stasis_device_state res_stasis_broadcast app_stasis
app_stasis_broadcast res_ari_model res_ari res_ari_applications res_ari_asterisk
res_ari_bridges res_ari_channels res_ari_device_states res_ari_endpoints res_ari_events
res_ari_playbacks res_ari_recordings res_ari_sounds
"""

EXTENSIONS = f"""\
[general]
[line]
exten => milliwatt,1,Answer()
 same => n,Milliwatt()
exten => silence,1,Answer()
 same => n,Wait(60)
exten => ringing,1,Ringing()
 same => n,Wait(60)
exten => busy,1,Hangup(17)
exten => declines,1,Hangup(21)
exten => offer,1,StasisBroadcast({CLAIM_TIMEOUT * 1000:.0f},^line-.*)
 same => n,UserEvent(AfterStasis,Status:${{STASISSTATUS}})
 same => n,Wait(60)
[fallback]
exten => s,1,Wait(60)
"""


class BareAsterisk:
    """One instance in a folder of its own; `start` and `kill` may alternate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ami_port, self.ari_port = free_port(), free_port()
        self.secret = SECRET
        self._process: asyncio.subprocess.Process | None = None
        for name in ("etc", "run", "lib", "db", "log", "spool", "keys"):
            (folder / name).mkdir(parents=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _write(self, name: str, text: str) -> None:
        (self.folder / "etc" / name).write_text(text)

    def configure(self) -> None:
        folders = {"etc": "etc", "run": "run", "varlib": "lib", "db": "db", "log": "log"}
        folders |= {"spool": "spool", "key": "keys", "agi": "lib"}
        self._write(
            "asterisk.conf",
            "[directories]\n"
            + "".join(f"ast{key}dir => {self.folder / name}\n" for key, name in folders.items())
            + f"astmoddir => {TREE}/usr/lib/x86_64-linux-gnu/asterisk/modules\n"
            + f"astdatadir => {TREE}/usr/share/asterisk\n",
        )
        self._write(
            "modules.conf",
            "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in MODULES.split()),
        )
        self._write(
            "manager.conf",
            f"[general]\nenabled=yes\nbindaddr=127.0.0.1\nport={self.ami_port}\n"
            f"[{ASTERISK_USER}]\nsecret={self.secret}\nread=system,call,user\n"
            "write=system,call,originate,user,command\n",
        )
        self._write(
            "http.conf",
            f"[general]\nenabled=yes\nbindaddr=127.0.0.1\nbindport={self.ari_port}\n",
        )
        self._write(
            "ari.conf", f"[general]\nenabled=yes\n[{ASTERISK_USER}]\ntype=user\npassword={SECRET}\n"
        )
        self._write("extensions.conf", EXTENSIONS)
        self._write("logger.conf", "[general]\n[logfiles]\nfull => notice,warning,error\n")
        for name in ("cdr", "cel", "stasis", "features", "udptl", "indications", "acl", "ccss"):
            self._write(f"{name}.conf", "[general]\n")

    async def start(self) -> None:
        """Start without waiting: what happens while Asterisk boots is what tests look at."""
        self.configure()
        self._process = await asyncio.create_subprocess_exec(
            f"{TREE}/usr/lib64/ld-linux-x86-64.so.2",
            "--library-path",
            f"{TREE}/usr/lib/x86_64-linux-gnu",
            f"{TREE}/usr/sbin/asterisk",
            "-f",
            "-C",
            str(self.folder / "etc" / "asterisk.conf"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def said(self) -> str:
        """The log of Asterisk: notices, warnings and errors."""
        return (self.folder / "log" / "full").read_text(errors="replace")


@asynccontextmanager
async def bare_asterisk(folder: Path) -> AsyncIterator[BareAsterisk]:
    asterisk = BareAsterisk(folder)
    await asterisk.start()
    try:
        yield asterisk
    finally:
        await asterisk.kill()
