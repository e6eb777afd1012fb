"""A call of the telephone: a SIP dialog with its media."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import quote

from callcenter.platform.core.errors import CallcenterError, InvalidRequest
from callcenter.sipphone import sdp
from callcenter.sipphone.audio import Codec
from callcenter.sipphone.call_progress import Progress, Side, within
from callcenter.sipphone.dialog import Dialog, dialog_of_invite
from callcenter.sipphone.endpoint import SipEndpoint
from callcenter.sipphone.errors import NoAnswer, Refused
from callcenter.sipphone.media_session import MediaSession
from callcenter.sipphone.rtp import KEYS, ReceivedAudio
from callcenter.sipphone.sip import (
    Content,
    Headers,
    Place,
    Request,
    Response,
    host_port,
    parameters,
    token,
)
from callcenter.sipphone.transactions import GIVE_UP


class SipCall(Progress):
    """A call with its controls, its state and its received audio.

    `moments` holds `time.monotonic()` of what has happened so far: invite_sent, trying, ringing,
    progress, answered, refused, cancel_sent (a call that we placed); invite_received,
    answered_sent, rejected, acknowledged, cancel_received (one that came to us); first_rtp, held,
    resumed, bye_sent, bye_received, ended (both). Limits of time are seconds; when one passes,
    TimeoutError is raised and the call stays as it is. Cancelling a wait does not end the call.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        dialog: Dialog,
        codecs: Sequence[Codec],
        on_over: Callable[["SipCall"], None],
        *,
        incoming: tuple[Request, Place] | None = None,
    ) -> None:
        super().__init__()
        self._endpoint, self._dialog, self._on_over = endpoint, dialog, on_over
        self._incoming = incoming  # their INVITE, and where it came from
        self._sent: Request | None = None  # our first INVITE, the last try of it
        self._voice = MediaSession(endpoint.place[0], codecs, self._hear_first)
        self._offered: sdp.SessionDescription | None = None
        self._is_cancelled = False
        self.transfer_reports: list[int] = []  #: the statuses that NOTIFY told, in their order

    @property
    def heard(self) -> ReceivedAudio:
        """All audio received by RTP, also after the end of the call."""
        return self._voice.media.heard

    @property
    def call_id(self) -> str:
        """The Call-ID of SIP."""
        return self._dialog.call_id

    @property
    def invite(self) -> Request | None:
        """The INVITE of this call, with its headers."""
        return self._incoming[0] if self._incoming is not None else self._sent

    # --- what a person does ---

    async def answer(self) -> None:
        """Answers a call to us; returns when the other side has acknowledged.

        Raises CallOver when the call was over before that, NoAnswer when it never does.
        """
        self._must_ring_here()
        body = self._voice.answer(self._offered) if self._offered else self._voice.offer()
        self._mark("answered_sent")
        self.respond(200, body)
        self._set_answered()
        try:
            await within(self._acknowledged, GIVE_UP, "our answer was not acknowledged")
        except TimeoutError as exc:
            raise NoAnswer("the other side never acknowledged our answer to its call") from exc
        self._must_be_alive()

    async def reject(self, status: int = 486) -> None:
        """Refuses a call to us; the status is the reason. Raises CallOver when it was over."""
        self._must_ring_here()
        self._mark("rejected")
        self.respond(status)
        self._finish("us", str(status))

    async def cancel(self) -> None:
        """Gives up a call of ours that is not answered; returns when it is over.

        If the other side answers at the same moment, the call is hung up.
        """
        if self._incoming is not None:
            raise InvalidRequest("only a call that we placed can be cancelled")
        self._is_cancelled = True
        # RFC 3261, 9.1: no CANCEL before the other side has shown that it knows of the call
        await within(self._progressed, GIVE_UP, "the other side does not know of the call")
        invite = self._sent
        if invite is not None and not self._settled.is_set():
            cancel = self._dialog.request("CANCEL", invite.every("Via")[0], cseq=invite.cseq[0])
            self._mark("cancel_sent")
            to = self._endpoint.next_hop(self._dialog)
            await self._endpoint.transactions.request(cancel, to)
        await within(self._over, GIVE_UP, "the other side did not end the cancelled call")

    async def hang_up(self, reason: str | None = None) -> None:
        """Ends the call, at whatever stage it is; does nothing when it is over.

        `reason` goes into the header Reason of a BYE, as in `Q.850;cause=38`.
        """
        if self.is_over:
            return
        if self._is_answered:
            await self._bye(reason)
        elif self._incoming is not None:
            await self.reject(480)
        else:
            await self.cancel()

    async def press(
        self, keys: str, *, how: Literal["rfc4733", "info"] = "rfc4733", gap: float = 0.1
    ) -> None:
        """Presses keys for 100 ms each, with `gap` seconds after each; returns after the last.

        Raises InvalidRequest for what is no key or when the other side takes no telephone events,
        Refused when it refuses an INFO, CallOver when the call ends meanwhile.
        """
        if wrong := [key for key in keys if key not in KEYS]:
            raise InvalidRequest(f"{wrong[0]!r} is no key of a telephone: use one of {KEYS}")
        for key in keys:
            self._must_talk()
            if how == "rfc4733":
                await self._voice.media.press(key)
            else:
                await self._send_info(key)
            await asyncio.sleep(gap)

    async def hold(self) -> None:
        """Tells the other side that we do not listen (re-INVITE sendonly).

        What we send goes on, as music on hold would. Raises Refused.
        """
        await self._reoffer("sendonly")
        self.moments["held"] = time.monotonic()

    async def resume(self) -> None:
        """Takes `hold` back (re-INVITE sendrecv). Raises Refused."""
        await self._reoffer("sendrecv")
        self.moments["resumed"] = time.monotonic()

    async def transfer(
        self, number: str, *, replacing: "SipCall | None" = None, headers: Headers = ()
    ) -> int:
        """Asks to transfer the other side to a number (REFER); returns the status of the answer.

        With `replacing`, another call of this telephone, the transfer is attended (RFC 3891). What
        becomes of it is in `transfer_reports`.
        """
        uri = f"sip:{number}@{host_port(self._endpoint.server)}"
        if replacing is not None:
            uri += f"?Replaces={quote(replacing.replaces, safe='')}"
        response = await self.send("REFER", (("Refer-To", f"<{uri}>"), *headers))
        return response.status

    async def send(
        self, method: str, headers: Headers = (), body: Content | None = None
    ) -> Response:
        """Sends a request within the call; returns the final answer. Raises NoAnswer."""
        contact = ("Contact", self._endpoint.contact)
        _, response = await self._endpoint.ask(
            self._dialog, lambda more: self._request(method, (contact, *headers, *more), body)
        )
        return response

    @property
    def replaces(self) -> str:
        """This call as the other side knows it, for a header Replaces."""
        ours, theirs = (
            parameters(each).get("tag", "") for each in (self._dialog.local, self._dialog.remote)
        )
        return f"{self.call_id};to-tag={theirs};from-tag={ours}"

    def send_tone(self, hertz: float | None) -> None:
        """Sends a tone of -13 dBFS from the next 20 ms on; None is silence."""
        self._voice.media.send(hertz or 0)

    def send_silence(self) -> None:
        """Sends packets of silence from the next 20 ms on (as every call does at first)."""
        self._voice.media.send(0)

    def begin_stream_anew(self, number: int, *, as_before: bool = False) -> None:
        """Goes on in a new RTP stream, whose first packet has this number (0 to 65535).

        `as_before`: under the SSRC of the one before, which no telephone should do.
        """
        self._voice.media.begin_anew(number, as_before=as_before)

    def stop_sending(self) -> None:
        """Sends no RTP at all, except keys, from the next 20 ms on."""
        self._voice.media.send(None)

    # --- what the telephone does with a call of ours ---

    async def place(self, headers: Headers, *, with_sdp: bool) -> None:
        """Sends the INVITE and carries the call to its answer or its refusal. Run as a task."""
        body = self._voice.offer() if with_sdp else None
        contact = ("Contact", self._endpoint.contact)

        def make(more: Headers) -> Request:
            self._sent = self._request("INVITE", (contact, *headers, *more), body)
            self._mark("invite_sent")
            return self._sent

        try:
            invite, response = await self._endpoint.ask(self._dialog, make, self._on_progress)
            if response.status >= 300:
                self._mark("refused")
                raise Refused("INVITE", response.status, response.reason)
            self._dialog.learn(response)
            self._mark("answered")
            self._accept(invite, response)
        except sdp.BadSession as exc:
            self._failure = exc
            await self._bye()
        except CallcenterError as exc:
            self._failure = exc
            ours = self._is_cancelled or isinstance(exc, InvalidRequest)
            self._finish("us" if ours else "them", str(exc))
        else:
            self._set_answered()
            if self._is_cancelled:
                # our CANCEL and their answer crossed
                await self._bye()

    def _on_progress(self, response: Response) -> None:
        self._mark({100: "trying", 180: "ringing"}.get(response.status, "progress"))
        self._progressed.set()
        if response.status == 180:
            self._ringing.set()
        if response.body:
            try:
                self._voice.talk(sdp.parse(response.body))
            except sdp.BadSession:
                # only early sound is lost; the answer brings a description of its own
                return

    def _accept(self, invite: Request, response: Response) -> None:
        """Acknowledges an accepted INVITE, and begins to talk. Raises BadSession."""
        fault: sdp.BadSession | None = None
        body: Content | None = None
        try:
            session = sdp.parse(response.body)
            if invite.body:
                self._voice.talk(session)
            else:
                body = self._voice.answer(session)
        except sdp.BadSession as exc:
            # An accepted INVITE is acknowledged, whatever it says, or it would be repeated.
            fault = exc
        ack = self._dialog.request("ACK", self._endpoint.via(), cseq=invite.cseq[0], body=body)
        self._endpoint.transactions.acknowledge(invite, ack, self._endpoint.next_hop(self._dialog))
        if fault is not None:
            raise fault

    # --- what the telephone does with a call to us ---

    @classmethod
    def received(
        cls,
        endpoint: SipEndpoint,
        invite: Request,
        origin: Place,
        codecs: Sequence[Codec],
        on_over: Callable[["SipCall"], None],
    ) -> "SipCall":
        """The call that an INVITE begins. Raises BadSession, and then nothing was begun."""
        offered = sdp.parse(invite.body) if invite.body else None
        if offered is not None:
            offered.codec(codecs)
        dialog = dialog_of_invite(invite, token())
        call = cls(endpoint, dialog, codecs, on_over, incoming=(invite, origin))
        call._offered = offered
        call._mark("invite_received")
        return call

    def respond(self, status: int, body: Content | None = None) -> None:
        """Answers the INVITE that began this call. Raises InvalidRequest if it was ours."""
        if self._incoming is None:
            raise InvalidRequest("only a call that came to us can be answered or rejected")
        tag = self._dialog.local.rpartition("tag=")[2]
        self._endpoint.respond(*self._incoming, status, tag=tag, body=body)

    def belongs(self, request: Request) -> bool:
        """Whether a request belongs to this call; CANCEL is matched by its branch."""
        if request.method == "CANCEL":
            return self._incoming is not None and request.branch == self._incoming[0].branch
        return self._dialog.belongs(request)

    def take(self, request: Request, origin: Place) -> None:
        """Handle a request of the other side within this call."""
        if request.method == "ACK":
            self._take_ack(request)
        elif request.method == "CANCEL":
            self._endpoint.respond(request, origin, 200)
            if not self._is_answered:
                self._mark("cancel_received")
                self.respond(487)
                self._finish("them", request.first("Reason") or "CANCEL")
        elif request.method == "BYE":
            self._mark("bye_received")
            self._endpoint.respond(request, origin, 200)
            self._finish("them", request.first("Reason") or "BYE")
        elif request.method in ("INVITE", "UPDATE"):
            self._renegotiate(request, origin)
        else:
            if request.method == "NOTIFY":
                self.transfer_reports.append(int(request.body.split()[1]))
            self._endpoint.respond(request, origin, 200)

    def drop(self) -> None:
        """Drop the call without a message to the other side."""
        self._finish("us", "the telephone was switched off")

    def _take_ack(self, request: Request) -> None:
        self._mark("acknowledged")
        if request.body:
            try:
                self._voice.talk(sdp.parse(request.body))
            except sdp.BadSession as exc:
                self._failure = exc
        self._acknowledged.set()

    def _renegotiate(self, request: Request, origin: Place) -> None:
        body: Content | None = None
        try:
            if request.body:
                body = self._voice.answer(sdp.parse(request.body))
            elif request.method == "INVITE":
                body = self._voice.offer()
        except sdp.BadSession:
            self._endpoint.respond(request, origin, 488)
        else:
            self._endpoint.respond(request, origin, 200, body=body)

    # --- how ---

    async def _bye(self, reason: str | None = None) -> None:
        self._mark("bye_sent")
        why = (("Reason", reason),) if reason else ()
        try:
            await self._endpoint.ask(self._dialog, lambda more: self._request("BYE", (*why, *more)))
        finally:
            # Whatever they said (481 when our BYEs crossed): for us the call is over.
            self._finish("us", "BYE")

    async def _reoffer(self, direction: sdp.Direction) -> None:
        self._must_talk()
        contact = ("Contact", self._endpoint.contact)
        body = self._voice.offer(direction)
        invite, response = await self._endpoint.ask(
            self._dialog, lambda more: self._request("INVITE", (contact, *more), body)
        )
        if response.status >= 300:
            raise Refused("INVITE", response.status, response.reason)
        self._accept(invite, response)

    async def _send_info(self, key: str) -> None:
        body = ("application/dtmf-relay", f"Signal={key}\r\nDuration=100\r\n".encode())
        _, response = await self._endpoint.ask(
            self._dialog, lambda more: self._request("INFO", more, body)
        )
        if response.status >= 300:
            raise Refused("INFO", response.status, response.reason)

    def _request(self, method: str, headers: Headers, body: Content | None = None) -> Request:
        return self._dialog.request(method, self._endpoint.via(), headers=headers, body=body)

    def _hear_first(self, at: float) -> None:
        self.moments["first_rtp"] = at

    def _must_ring_here(self) -> None:
        self._must_be_alive()
        if self._incoming is None or self._is_answered:
            raise InvalidRequest(
                "only a call that rings here can be answered or rejected, and once"
            )

    def _finish(self, by: Side, reason: str) -> None:
        if not self.is_over:
            self._set_over(by, reason)
            self._voice.media.close()
            self._on_over(self)
