"""The voice of one call: which codec and keys both sides agreed on, and the sound itself."""

from collections.abc import Callable, Sequence

from callcenter.demo import sdp
from callcenter.demo.media import Media
from callcenter.demo.sip import Content
from callcenter.demo.sound import Codec


class Voice:
    """Offers, answers, and then talks; raises BadSession for what the other side cannot mean."""

    def __init__(
        self, address: str, codecs: Sequence[Codec], on_first_packet: Callable[[float], None]
    ) -> None:
        self.media = Media(address, on_first_packet)
        self._codecs = codecs
        self._version = 0

    def offer(self, direction: sdp.Direction = "sendrecv") -> Content:
        """All that we can do."""
        self._version += 1
        self.media.heard.events = sdp.OUR_EVENTS
        body = sdp.offer(self.media.place, self._codecs, version=self._version, direction=direction)
        return sdp.TYPE, body

    def answer(self, offered: sdp.Session) -> Content:
        """What we take of an offer; from now on we talk."""
        self._version += 1
        body = sdp.answer(self.media.place, offered, self._codecs, version=self._version)
        self.media.heard.events = offered.events
        self.talk(offered)
        return sdp.TYPE, body

    def talk(self, session: sdp.Session) -> None:
        """Sends to where a description says, unless it says that nobody listens there."""
        codec, kind = session.codec(self._codecs)
        if session.listens:
            place = (session.address, session.port)
            self.media.connect(place, codec, kind, events=session.events)
        else:
            self.media.pause()
