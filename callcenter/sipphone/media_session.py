"""The media of one call: negotiation of codec and keys, and the RTP session."""

from collections.abc import Callable, Sequence

from callcenter.sipphone import sdp
from callcenter.sipphone.audio import Codec
from callcenter.sipphone.rtp_session import RtpSession
from callcenter.sipphone.sip import Content


class MediaSession:
    """Offers, answers, then sends; raises BadSession for an unusable description."""

    def __init__(
        self, address: str, codecs: Sequence[Codec], on_first_packet: Callable[[float], None]
    ) -> None:
        self.media = RtpSession(address, on_first_packet)
        self._codecs = codecs
        self._version = 0

    def offer(self, direction: sdp.Direction = "sendrecv") -> Content:
        """An offer of all that we support."""
        self._version += 1
        self.media.heard.events = sdp.OUR_EVENTS
        body = sdp.offer(self.media.place, self._codecs, version=self._version, direction=direction)
        return sdp.TYPE, body

    def answer(self, offered: sdp.SessionDescription) -> Content:
        """Our answer to an offer; sending begins."""
        self._version += 1
        body = sdp.answer(self.media.place, offered, self._codecs, version=self._version)
        self.media.heard.events = offered.events
        self.talk(offered)
        return sdp.TYPE, body

    def talk(self, session: sdp.SessionDescription) -> None:
        """Send to the address of a description, unless it says that nobody listens there."""
        codec, kind = session.codec(self._codecs)
        if session.listens:
            place = (session.address, session.port)
            self.media.connect(place, codec, kind, events=session.events)
        else:
            self.media.pause()
