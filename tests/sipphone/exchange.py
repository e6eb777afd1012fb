"""A small real Asterisk for the telephone to be tried on: each extension does one thing."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from callcenter.launcher.port_check import with_free_ports
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.audio import Pcm, encode, tone
from callcenter.sipphone.sip import Place
from callcenter.telephony.asterisk.config.binary import find_asterisk
from tests.polling import NotInTime
from tests.seeds import numpy_generator

PASSWORD = secrets.token_hex(8)

_CONFIGURATION = {
    "asterisk.conf": """
[directories]
astetcdir => {folder}
astmoddir => {program.modules}
astdatadir => {program.data}
astvarlibdir => {folder}
astdbdir => {folder}
astkeydir => {folder}
astcachedir => {folder}
astagidir => {folder}
astspooldir => {folder}
astrundir => {folder}
astlogdir => {folder}
[options]
nocolor = yes
""",
    "logger.conf": "[logfiles]\nmessages => notice,warning,error,security\n",
    "rtp.conf": "[general]\nrtpstart = {rtp}\nrtpend = {rtp_end}\n",
    "modules.conf": "[modules]\nautoload = no\n{modules}",
    "pjsip.conf": """
[global]
type = global
endpoint_identifier_order = ip,username
[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{sip}
[leg](!)
type = endpoint
context = phones
disallow = all
allow = alaw,ulaw
direct_media = no
[trunk](leg)
trust_id_inbound = yes
dtmf_mode = auto_info
[trunk]
type = identify
endpoint = trunk
match = 127.0.0.2
[201](leg)
aors = 201
auth = 201
[201]
type = aor
max_contacts = 1
remove_existing = yes
qualify_frequency = 1
[201]
type = auth
auth_type = digest
username = 201
password = {password}
""",
    "extensions.conf": """
[phones]
exten => echo,1,Answer()
 same => n,Echo()
exten => read,1,Answer()
 same => n,Read(KEYS,,8,t(),1,8)
 same => n,Set(GLOBAL(KEYS_${{CALLERID(num)}})=${{KEYS}})
 same => n,Hangup()
exten => dial-keys,1,Answer()
 same => n,SendDTMF(15#*9)
 same => n,Wait(60)
exten => play,1,Answer()
 same => n,Playback({folder}/melody)
 same => n,Wait(60)
exten => ring,1,Ringing()
 same => n,Wait(60)
exten => early,1,Progress()
 same => n,Playback({folder}/melody,noanswer)
 same => n,Answer()
 same => n,Wait(60)
exten => busy,1,Hangup(17)
exten => brief,1,Answer()
 same => n,Wait(0.5)
 same => n,Hangup()
exten => consultant,1,Dial(PJSIP/201,30)
""",
}
_EMPTY = ("cdr", "cel", "http", "manager", "indications", "features", "ccss", "udptl")
_MODULES = """
res_timing_timerfd res_rtp_asterisk codec_alaw codec_ulaw codec_a_mu format_pcm
bridge_simple bridge_native_rtp bridge_softmix bridge_builtin_features
res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_pjsip res_pjsip_session
res_pjsip_sdp_rtp res_pjsip_registrar res_pjsip_authenticator_digest
res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user res_pjsip_caller_id
res_pjsip_dtmf_info res_pjsip_dlg_options res_pjsip_rfc3326 res_pjsip_pubsub chan_pjsip
pbx_config func_callerid func_global app_echo app_read app_senddtmf app_playback app_dial
app_verbose res_clioriginate res_security_log
"""


def melody() -> Pcm:
    """What the extension `play` plays: three seconds that resemble nothing else."""
    notes = numpy_generator(111).uniform(300, 1800, 30)
    return np.concatenate([tone(note, 0.1) for note in notes])


class Exchange:
    """A running Asterisk of this test session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings = with_free_ports(Settings(_env_file=None))
        self._program = find_asterisk(self._settings)

    @property
    def server(self) -> Place:
        return str(self._settings.sip_address), self._settings.sip_port

    def write(self) -> None:
        values = {
            "folder": self.folder,
            "program": self._program,
            "sip": self.server[1],
            "rtp": self._settings.rtp_start,
            "rtp_end": self._settings.rtp_end,
            "password": PASSWORD,
            "modules": "\n".join(f"load = {name}.so" for name in _MODULES.split()),
        }
        for name, text in _CONFIGURATION.items():
            (self.folder / name).write_text(text.format(**values))
        for name in _EMPTY:
            (self.folder / f"{name}.conf").touch()
        (self.folder / "melody.alaw").write_bytes(encode(melody(), "PCMA"))

    def cli(self, command: str) -> str:
        """What Asterisk answers to a command."""
        done = subprocess.run(
            [*self.command, "-rx", command], capture_output=True, text=True, timeout=20
        )
        return done.stdout

    @property
    def command(self) -> list[str]:
        return [*self._program.command, "-C", str(self.folder / "asterisk.conf")]

    def has_channels(self) -> bool:
        return not self.cli("core show channels count").startswith("0 active channels")

    def log(self) -> str:
        return (self.folder / "messages").read_text(errors="replace")


@contextmanager
def exchange(folder: Path) -> Iterator[Exchange]:
    """Starts Asterisk in `folder`, and stops it at the end."""
    switch = Exchange(folder)
    switch.write()
    output = folder / "output"
    with (
        output.open("w") as log,
        subprocess.Popen([*switch.command, "-f"], stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            deadline = time.monotonic() + 30
            while "fully booted" not in switch.cli("core waitfullybooted"):
                assert process.poll() is None, output.read_text(errors="replace")
                if time.monotonic() > deadline:
                    raise NotInTime("Asterisk did not start in 30 s")
                time.sleep(0.05)
            yield switch
        finally:
            process.kill()
