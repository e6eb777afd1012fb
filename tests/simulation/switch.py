"""Simulated Asterisk: what the controllers use of ARI, and no more.

Each rule here is one that was measured on the real one. What both have in common is asserted by
`tests/asterisk/test_switch_contract.py` for the real and by `tests/simulation/test_switch.py` for
this one, with the same tests.
"""

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from tests.simulation.host import SimulatedProcess
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Link, Session

MEDIUM = 0.7  # seconds that one sound of a prompt lasts
CLAIM_TIMEOUT = 0.5  # seconds: the dialplan's StasisBroadcast
EPOCH = 1_795_000_000.0  #: epoch seconds at the start of the virtual clock

Json = dict[str, Any]


class Refused(Exception):
    """An answer of ARI that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Party(Protocol):
    """Who is at the other end of a channel."""

    def hears(self, channel: "SwitchChannel", sounds: Sequence[str]) -> None:
        """Sounds begin to be played to this channel."""

    def is_connected(self, channel: "SwitchChannel", other: "SwitchChannel") -> None:
        """The channel is in a bridge with another."""

    def falls_back(self, channel: "SwitchChannel", why: str) -> None:
        """The dialplan's fallback serves the channel now."""

    def has_ended(self, channel: "SwitchChannel") -> None:
        """The channel is no more."""


class Telephone(Protocol):
    """What is called by a controller."""

    @property
    def is_busy(self) -> bool:
        """Whether it is in a call, or rings."""

    def rings(self, channel: "SwitchChannel") -> None:
        """A channel to it was made: it may answer, or hang up."""


@dataclass(eq=False)
class Playback:
    """Sounds that are played to a channel, one playback after another."""

    id: str
    sounds: list[str]
    is_over: bool = False


@dataclass(eq=False)
class SwitchChannel:
    """A channel of the simulated switch."""

    id: str
    name: str
    number: str
    exten: str
    created: str
    party: Party | None
    state: str = "Ring"
    place: str = "dialplan"  #: dialplan, offered, stasis, fallback or ended
    application: str = ""  #: while in Stasis
    runs: str = ""  #: the dialplan's application
    bridge: "SwitchBridge | None" = None
    playbacks: deque[Playback] = field(default_factory=deque)
    has_music: bool = False
    is_muted: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    moves: list[Callable[[], None]] = field(default_factory=list)
    cause: int = 16
    claimed_by: list[str] = field(default_factory=list)  #: applications that had it, in order
    changed_hands_at: float = 0.0  #: when it came into its application


@dataclass(eq=False)
class SwitchBridge:
    """A mixing bridge."""

    id: str
    name: str
    channels: list[SwitchChannel] = field(default_factory=list)


@dataclass(eq=False)
class Application:
    """A Stasis application, which may be without a connection."""

    name: str
    session: "AriSession | None" = None
    subscriptions: dict[str, int] = field(default_factory=dict)

    def subscribe(self, channel_id: str) -> None:
        self.subscriptions[channel_id] = self.subscriptions.get(channel_id, 0) + 1

    def unsubscribe(self, channel_id: str) -> None:
        left = self.subscriptions.get(channel_id, 0) - 1
        if left > 0:
            self.subscriptions[channel_id] = left
        else:
            self.subscriptions.pop(channel_id, None)


@dataclass(frozen=True, slots=True)
class Request:
    """A request of an application."""

    application: str
    process: SimulatedProcess
    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    body: Json
    sent_at: float
    is_given_up: bool  #: its application closed the connection before it left


class AriSession:
    """One connection of an application."""

    def __init__(self, switch: "SimulatedSwitch", application: Application, link: Link) -> None:
        self.application = application
        self.link = link
        self.is_deaf = False  #: its events are lost, and answers are not
        self._switch = switch

    def send(self, event: Json) -> None:
        if not self.is_deaf or event["type"] == "RESTResponse":
            self.link.send_to_client(json.dumps(event))

    def receive(self, text: str, sent_at: float, *, is_given_up: bool) -> None:
        if self._switch.applications.get(self.application.name) is not self.application:
            return  # of a connection that was replaced before the switch ended
        message = json.loads(text)
        query = {each["name"]: each["value"] for each in message.get("query_strings", ())}
        path, _, more = message["uri"].partition("?")
        query |= dict(each.split("=", 1) for each in more.split("&") if each)
        body = json.loads(message["message_body"]) if message.get("message_body") else {}
        process = self.link.process
        name, parts = self.application.name, tuple(path.split("/"))
        request = Request(
            name, process, message["method"], parts, query, body, sent_at, is_given_up
        )
        answer: Json = {"type": "RESTResponse", "request_id": message["request_id"]}
        try:
            content = self._switch.handle(request)
            answer |= {"status_code": 204 if content is None else 200, "reason_phrase": "OK"}
            if content is not None:
                answer["message_body"] = json.dumps(content)
        except Refused as exc:
            answer |= {"status_code": exc.status, "reason_phrase": "Refused"}
            answer["message_body"] = json.dumps({"message": str(exc)})
        self.send(answer)

    def close(self) -> None:
        self._switch.disconnect(self)


class SimulatedSwitch:
    """The switch. `on_request` sees each request.

    `on_claim` sees who has claimed a call, `on_connect` who has connected two channels, `on_move`
    which channel came from one application into another.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.channels: dict[str, SwitchChannel] = {}
        self.bridges: dict[str, SwitchBridge] = {}
        self.applications: dict[str, Application] = {}
        self.variables: dict[str, str] = {}
        self.telephones: dict[str, Telephone] = {}
        self.offers_to = ""  #: the application that alone hears of new calls; empty: all do
        self.on_request: Callable[[Request, SwitchChannel | None], None] | None = None
        self.on_claim: Callable[[SimulatedProcess], None] | None = None
        self.on_connect: Callable[[SimulatedProcess], None] | None = None
        self.on_move: Callable[[SwitchChannel], None] | None = None
        self._offers: dict[str, SwitchChannel] = {}
        self._playbacks: dict[str, tuple[SwitchChannel, Playback]] = {}
        self._numbers = itertools.count(1)
        self._startup_time = self._timestamp()
        self._is_up = True
        self.changed_at = float("-inf")  #: when it ended or booted last

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(EPOCH + self.loop.now, UTC).isoformat(timespec="milliseconds")

    # Its end and its start

    def end(self) -> None:
        """End at once: all channels are gone, and nobody hears of it."""
        self._is_up, self.changed_at = False, self.loop.now
        channels, apps = [*self.channels.values()], [*self.applications.values()]
        for each in (self.channels, self.bridges, self.applications, self.variables):
            each.clear()
        self._offers.clear()
        self._playbacks.clear()
        for channel in channels:
            channel.place, channel.bridge = "ended", None
            channel.playbacks.clear()
            if channel.party is not None:
                channel.party.has_ended(channel)
        for app in apps:
            if app.session is not None:
                app.session.link.close_server()

    def boot(self) -> None:
        """Be there again, as another process."""
        self._is_up, self._startup_time = True, self._timestamp()
        self.changed_at = self.loop.now

    def deafen(self, application: str) -> None:
        """Send no more events by the present connection of this application."""
        app = self.applications.get(application)
        if app is not None and app.session is not None:
            app.session.is_deaf = True

    # Connections

    def accept(self, application: str, link: Link) -> Session | int:
        if not self._is_up:
            return 503
        app = self.applications.setdefault(application, Application(application))
        if app.session is not None:
            app.session.send({"type": "ApplicationReplaced", "application": application})
        app.session = session = AriSession(self, app, link)
        return session

    def disconnect(self, session: AriSession) -> None:
        app = session.application
        if app.session is session:
            app.session = None
            self._forget_unused(app)

    def _forget_unused(self, app: Application) -> None:
        """An application without connection stays as long as it has channels."""
        if app.session is None and not app.subscriptions:
            self.applications.pop(app.name, None)

    def list_of(self, kind: str) -> tuple[int, str]:
        if not self._is_up:
            return 0, ""
        lists: dict[str, Callable[[], list[Json]]] = {
            "applications": lambda: [self._of_application(e) for e in self.applications.values()],
            "bridges": lambda: [self._of_bridge(each) for each in self.bridges.values()],
            "channels": lambda: [self.snapshot(each) for each in self.channels.values()],
        }
        return 200, json.dumps(lists[kind]())

    # Descriptions

    def snapshot(self, channel: SwitchChannel) -> Json:
        return {
            "id": channel.id,
            "name": channel.name,
            "state": channel.state,
            "caller": {"name": "", "number": channel.number},
            "connected": {"name": "", "number": ""},
            "dialplan": {
                "context": "fallback" if channel.place == "fallback" else "from-operator",
                "exten": channel.exten,
                "priority": 1,
                "app_name": channel.runs,
                "app_data": channel.application,
            },
            "creationtime": channel.created,
            "language": "en",
        }

    def _of_application(self, app: Application) -> Json:
        bridges: list[str] = []
        return {"name": app.name, "channel_ids": [*app.subscriptions], "bridge_ids": bridges}

    def _of_bridge(self, bridge: SwitchBridge) -> Json:
        inside = [each.id for each in bridge.channels]
        return {"id": bridge.id, "name": bridge.name, "channels": inside}

    # Events

    def _publish(self, channel: SwitchChannel, kind: str, **fields: Any) -> None:
        event = {
            "type": kind,
            "timestamp": self._timestamp(),
            "channel": self.snapshot(channel),
            **fields,
        }
        for app in self._subscribed(channel):
            self._send(app, {**event, "application": app.name})

    def _subscribed(self, channel: SwitchChannel) -> list[Application]:
        return [each for each in self.applications.values() if channel.id in each.subscriptions]

    def _send(self, app: Application, event: Json) -> None:
        if app.session is not None:
            app.session.send(event)

    # The dialplan

    def call(
        self, number: str, party: Party, claim_timeout: float = CLAIM_TIMEOUT
    ) -> SwitchChannel:
        """A caller rings 111: answered, and offered to all controllers."""
        serial = next(self._numbers)
        channel = SwitchChannel(
            id=f"{int(EPOCH + self.loop.now)}.{serial}",
            name=f"PJSIP/operator-{serial:08x}",
            number=number,
            exten="111",
            created=self._timestamp(),
            party=party,
            state="Up",
        )
        if not self._is_up:
            channel.place = "ended"
            party.has_ended(channel)
            return channel
        self.channels[channel.id] = channel
        if int(EPOCH + self.loop.now) < int(self.variables.get("OVERLOADED_UNTIL", "0")):
            self._fall_back(channel, "OVERLOADED")
            return channel
        channel.place, channel.runs = "offered", "StasisBroadcast"
        self._offers[channel.id] = channel
        event = {
            "type": "CallBroadcast",
            "timestamp": self._timestamp(),
            "channel": self.snapshot(channel),
        }
        for app in [*self.applications.values()]:
            if app.name.startswith("line-") and self.offers_to in ("", app.name):
                self._send(app, {**event, "application": app.name})
        self.loop.outside_after(claim_timeout, self._end_offer, channel)
        return channel

    def _end_offer(self, channel: SwitchChannel) -> None:
        if self._offers.pop(channel.id, None) is not None and channel.place == "offered":
            self._fall_back(channel, "TIMEOUT")

    def _fall_back(self, channel: SwitchChannel, why: str) -> None:
        channel.place, channel.runs, channel.application = "fallback", "Queue", ""
        if channel.party is not None:
            channel.party.falls_back(channel, why)
        else:
            self.hang_up(channel)

    # Stasis

    def _enter_stasis(self, channel: SwitchChannel, application: str) -> None:
        if channel.place == "ended":
            return
        app = self.applications.get(application)
        if app is None or app.session is None:
            if channel.claimed_by or channel.id.startswith("called-"):
                self.hang_up(channel)
            else:
                self._fall_back(channel, "FAILED")
            return
        channel.place, channel.application = "stasis", application
        channel.claimed_by.append(application)
        channel.changed_hands_at = self.loop.now
        app.subscribe(channel.id)
        event = {
            "type": "StasisStart",
            "timestamp": self._timestamp(),
            "args": [],
            "channel": self.snapshot(channel),
            "application": application,
        }
        self._send(app, event)

    def _leave_stasis(self, channel: SwitchChannel) -> None:
        app = self.applications[channel.application]
        channel.application = ""
        event = {
            "type": "StasisEnd",
            "timestamp": self._timestamp(),
            "channel": self.snapshot(channel),
            "application": app.name,
        }
        self._send(app, event)
        app.unsubscribe(channel.id)
        self._forget_unused(app)

    def hang_up(self, channel: SwitchChannel, cause: int = 16) -> None:
        """End a channel: the party hangs up, or a controller has it ended."""
        if channel.place == "ended":
            return
        self._offers.pop(channel.id, None)
        is_in_stasis = channel.place == "stasis"
        channel.place, channel.cause, channel.state = "ended", cause, "Down"
        self._take_out(channel)
        for each in channel.playbacks:
            self._playbacks.pop(each.id, None)
        channel.playbacks.clear()
        if is_in_stasis:
            self._publish(channel, "ChannelHangupRequest", cause=cause)
            self._leave_stasis(channel)
        self._publish(channel, "ChannelDestroyed", cause=cause, cause_txt="")
        del self.channels[channel.id]
        for app in self._subscribed(channel):
            del app.subscriptions[channel.id]
            self._forget_unused(app)
        if channel.party is not None:
            channel.party.has_ended(channel)

    def press(self, channel: SwitchChannel, key: str) -> None:
        """The party presses a key."""
        if channel.place == "stasis":
            self._publish(channel, "ChannelDtmfReceived", digit=key, duration_ms=100)

    def answer(self, channel: SwitchChannel) -> None:
        """A party that is rung answers."""
        if channel.place == "dialplan" and channel.state != "Up":
            channel.state, channel.runs = "Up", "Stasis"
            self._enter_stasis(channel, channel.variables["app"])

    # Playbacks

    def _play(self, channel: SwitchChannel, playback: str, sounds: list[str]) -> None:
        made = Playback(playback, sounds)
        self._playbacks[playback] = (channel, made)
        channel.playbacks.append(made)
        if len(channel.playbacks) == 1:
            self._begin_playback(channel)

    def _begin_playback(self, channel: SwitchChannel) -> None:
        playback = channel.playbacks[0]
        if channel.party is not None:
            channel.party.hears(channel, playback.sounds)
        if not playback.sounds[0].startswith("tone:"):
            length = MEDIUM * len(playback.sounds)
            self.loop.outside_after(length, self._end_playback, channel, playback)

    def _end_playback(self, channel: SwitchChannel, playback: Playback) -> None:
        if playback.is_over or channel.place == "ended":
            return
        playback.is_over = True
        self._playbacks.pop(playback.id, None)
        is_first = channel.playbacks[0] is playback
        channel.playbacks.remove(playback)
        event = {
            "type": "PlaybackFinished",
            "timestamp": self._timestamp(),
            "playback": {
                "id": playback.id,
                "media_uri": playback.sounds[-1],
                "target_uri": f"channel:{channel.id}",
                "state": "done",
            },
        }
        for app in self._subscribed(channel):
            self._send(app, {**event, "application": app.name})
        if is_first and channel.playbacks:
            self._begin_playback(channel)
        if not channel.playbacks:
            moves, channel.moves = channel.moves, []
            for each in moves:
                each()

    def _once_silent(self, channel: SwitchChannel, move: Callable[[], None]) -> None:
        """What is played comes first: until it ends the channel goes nowhere."""
        if channel.playbacks:
            channel.moves.append(move)
        else:
            self.loop.outside_after(0.0002, move)

    # Requests

    def handle(self, request: Request) -> Any:
        """Do what a request asks for. Raises Refused."""
        if self.on_request is not None:
            self.on_request(request, self._subject(request))
        kind, *rest = request.path
        handler = getattr(self, f"_{kind}_{request.method.lower()}")
        return handler(request, *rest)

    def _subject(self, request: Request) -> SwitchChannel | None:
        """The channel that a request acts upon."""
        match request.path:
            case ("channels", channel_id, *_):
                return self.channels.get(channel_id)
            case ("bridges", _, "addChannel" | "removeChannel"):
                return self.channels.get(request.query["channel"].split(",")[0])
            case _:
                return None

    def _channel(self, channel_id: str, *, in_stasis: bool = True) -> SwitchChannel:
        channel = self.channels.get(channel_id)
        if channel is None:
            raise Refused(404, "Channel not found")
        if in_stasis and channel.place != "stasis":
            raise Refused(409, "Channel not in Stasis application")
        return channel

    def _applications_put(self, request: Request, name: str, _what: str) -> Json:
        return self._of_application(self.applications[name])

    def _applications_delete(self, request: Request, name: str, _what: str) -> Json:
        app = self.applications.get(name)
        channel_id = request.query["eventSource"].removeprefix("channel:")
        if app is None:
            raise Refused(404, "Application not found")
        if channel_id not in app.subscriptions:
            raise Refused(409, "Application not subscribed to event source")
        app.unsubscribe(channel_id)
        described = self._of_application(app)
        self._forget_unused(app)
        return described

    def _asterisk_get(self, request: Request, _what: str) -> Json:
        return {"status": {"startup_time": self._startup_time}}

    def _asterisk_post(self, request: Request, _what: str) -> None:
        self.variables[request.query["variable"]] = request.query["value"]

    def _events_post(self, request: Request, what: str, name: str = "") -> None:
        if what == "claim":
            self._claim(request.query["channelId"], request.query["application"])
            if self.on_claim is not None:
                self.on_claim(request.process)
            return
        app = self.applications.get(request.query["application"])
        if app is None:
            raise Refused(404, "Application not found")
        event = {
            "type": "ChannelUserevent",
            "timestamp": self._timestamp(),
            "eventname": name,
            "userevent": request.body.get("variables", {}),
            "application": app.name,
        }
        self._send(app, event)

    def _claim(self, channel_id: str, application: str) -> None:
        if channel_id not in self._offers:
            taken = channel_id in self.channels
            raise Refused(409 if taken else 404, "Channel is not offered")
        channel = self._offers.pop(channel_id)
        channel.place = "dialplan"
        self.loop.outside_after(0.0003, self._enter_stasis, channel, application)

    def _channels_get(self, request: Request, channel_id: str, what: str) -> Json:
        channel = self._channel(channel_id)
        if what == "rtp_statistics":
            return {"rxcount": int(50 * self.loop.now)}
        return {"value": channel.variables.get(request.query["variable"], "")}

    def _channels_delete(self, request: Request, channel_id: str, what: str = "") -> None:
        channel = self._channel(channel_id, in_stasis=bool(what))
        if what == "moh":
            channel.has_music = False
        elif what == "mute":
            channel.is_muted = False
        else:
            self.hang_up(channel)

    def _channels_post(
        self, request: Request, channel_id: str, what: str = "", name: str = ""
    ) -> Json | None:
        if not what:
            return self._originate(request, channel_id)
        channel = self._channel(channel_id)
        match what:
            case "answer":
                channel.state = "Up"
            case "play":
                channel.has_music = False
                self._play(channel, name, request.query["media"].split(","))
            case "moh":
                channel.has_music = True
            case "mute":
                channel.is_muted = True
            case "variable":
                channel.variables[request.query["variable"]] = request.query["value"]
            case "continue":
                self._once_silent(channel, lambda: self._continue(channel, request.query))
            case "move":
                self._once_silent(channel, lambda: self._move(channel, request.query["app"]))
            case _:
                raise Refused(404, f"no such operation here: {what}")
        return None

    def _originate(self, request: Request, channel_id: str) -> Json:
        if channel_id in self.channels:
            raise Refused(409, "Channel with given unique ID already exists")
        originator = request.query.get("originator")
        if originator is not None and originator not in self.channels:
            raise Refused(400, "Provided originator channel was not found")
        endpoint = request.query["endpoint"].split("/")[1]
        telephone = self.telephones.get(endpoint)
        if telephone is None:
            raise Refused(500, "Allocation failed")
        channel = SwitchChannel(
            id=channel_id,
            name=f"PJSIP/{endpoint}-{next(self._numbers):08x}",
            number=endpoint,
            exten="s",
            created=self._timestamp(),
            party=None,
            state="Down",
            variables={"app": request.query["app"]},
        )
        self.channels[channel_id] = channel
        app = self.applications.get(request.query["app"])
        if app is not None:
            app.subscribe(channel_id)
        telephone.rings(channel)
        return self.snapshot(channel)

    def _continue(self, channel: SwitchChannel, query: Mapping[str, str]) -> None:
        if channel.place != "stasis":
            return
        self._take_out(channel)
        channel.has_music = False
        self._leave_stasis(channel)
        if query.get("context") == "fallback":
            self._fall_back(channel, query.get("extension", "s"))
        else:
            self.hang_up(channel)

    def _move(self, channel: SwitchChannel, application: str) -> None:
        if channel.place != "stasis":
            return
        self._leave_stasis(channel)
        channel.place = "dialplan"
        self._enter_stasis(channel, application)
        if self.on_move is not None:
            self.on_move(channel)

    def _playbacks_get(self, request: Request, playback: str) -> Json:
        self._find_playback(playback)
        return {"id": playback}

    def _playbacks_delete(self, request: Request, playback: str) -> None:
        self._end_playback(*self._find_playback(playback))

    def _find_playback(self, playback: str) -> tuple[SwitchChannel, Playback]:
        if playback not in self._playbacks:
            raise Refused(404, "Playback not found")
        return self._playbacks[playback]

    # Bridges

    def _bridges_get(self, request: Request, bridge_id: str) -> Json:
        return self._of_bridge(self._bridge(bridge_id))

    def _bridges_post(self, request: Request, bridge_id: str = "", what: str = "") -> Json | None:
        if not bridge_id:
            made = SwitchBridge(request.query["bridgeId"], request.query["name"])
            if made.id in self.bridges:
                raise Refused(409, "Bridge with given unique ID already exists")
            self.bridges[made.id] = made
            return self._of_bridge(made)
        bridge = self._bridge(bridge_id)
        ids = request.query["channel"].split(",")
        if what == "addChannel":
            for channel in [self._to_bridge(each) for each in ids]:
                self._put_in(channel, bridge)
            if len(bridge.channels) > 1 and self.on_connect is not None:
                self.on_connect(request.process)
        else:
            for each in ids:
                channel = self._to_bridge(each)
                if channel.bridge is not bridge:
                    raise Refused(422, "Channel not in this bridge")
                self._take_out(channel)
        return None

    def _bridges_delete(self, request: Request, bridge_id: str) -> None:
        bridge = self._bridge(bridge_id)
        for each in [*bridge.channels]:
            self._take_out(each)
        del self.bridges[bridge_id]

    def _bridge(self, bridge_id: str) -> SwitchBridge:
        if bridge_id not in self.bridges:
            raise Refused(404, "Bridge not found")
        return self.bridges[bridge_id]

    def _to_bridge(self, channel_id: str) -> SwitchChannel:
        channel = self.channels.get(channel_id)
        if channel is None:
            raise Refused(400, "Channel not found")
        if channel.place != "stasis":
            raise Refused(422, "Channel not in Stasis application")
        return channel

    def _put_in(self, channel: SwitchChannel, bridge: SwitchBridge) -> None:
        if channel.bridge is bridge:
            return
        self._take_out(channel)
        channel.bridge = bridge
        bridge.channels.append(channel)
        if len(bridge.channels) > 1:
            for each in bridge.channels:
                other = next(e for e in bridge.channels if e is not each)
                if each.party is not None:
                    each.party.is_connected(each, other)

    def _take_out(self, channel: SwitchChannel) -> None:
        bridge, channel.bridge = channel.bridge, None
        if bridge is not None:
            bridge.channels.remove(channel)
