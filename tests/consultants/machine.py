"""State machine of the distributor: random operations and the invariants that always hold."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from callcenter.consultants.presence import read_status
from callcenter.consultants.redis_script import (
    DistributorScript,
    LanguageNotSpoken,
    NotFree,
    NotOnRoster,
    NotWaiting,
    PlainRules,
)
from callcenter.consultants.rules.states import (
    ENGAGED,
    MOVES,
    IllegalPresenceChange,
    PresenceState,
    why_no_calls,
)

EXTENSIONS = ("201", "202")
CALLS = {"one": "line-1", "two": "line-1", "three": "line-2"}  # and the controllers that serve them
CONTROLLERS = ("line-1", "line-2")
OUTGOING = {"out": "line-1", "further": "line-2"}  # calls that consultants make
#: Languages and skills of everybody: what the center may make of the two.
CREWS = (
    {"201": ("kk ru", "lawyer:3"), "202": ("kk ru", "")},
    {"201": ("kk", ""), "202": ("ru", "lawyer:5 children:1")},
    {"201": ("kk ru", "lawyer:2")},
)
WANTS = ("kk", "kk", "ru", "kk:lawyer:3", "ru:lawyer:1", "ru:children:2", "@202")
# Mostly free, or hardly anything would happen.
TELEPHONES = ("NOT_INUSE", "NOT_INUSE", "NOT_INUSE", "INUSE", "RINGING", "UNAVAILABLE", "BUSY")
REQUESTABLE = (PresenceState.READY, PresenceState.PAUSED, PresenceState.SIGNED_OUT)
PAST = 0.0


class Machine:
    """Two controllers, two consultants, three calls, on an empty Redis."""

    def __init__(
        self, redis: Redis, client: AsyncRedis, runner: asyncio.Runner, rules: PlainRules
    ) -> None:
        """`client` is of the same Redis as `redis`, and of the loop of the runner."""
        self.redis = redis
        self._runner = runner
        self._script = DistributorScript(client, rules)
        self._stamp = 0
        self._crew = CREWS[0]
        self._telephones: dict[str, str] = {}
        self._requirements: dict[str, str] = {}
        self._held: set[tuple[str, str]] = set()
        self._unanswered: dict[str, str] = {}  # by whom, of calls that wait on
        self._snapshot: dict[str, tuple[bytes, int]] = {}
        self._begun: dict[
            str, PresenceState
        ] = {}  # states from which the changes that Redis has begin
        redis.flushdb()
        self.everybody_can_work_again()

    def do(self, *arguments: str) -> None:
        """Run an operation; refusals are expected, other errors fail the test."""
        with suppress(NotOnRoster, NotWaiting, LanguageNotSpoken, NotFree):
            try:
                self._runner.run(self._script(*arguments))
            except IllegalPresenceChange as exc:
                expected = IllegalPresenceChange("signed_out", "paused")
                if arguments[0] != "ask" or str(exc) != str(expected):
                    raise

    def roster(self, crew: dict[str, tuple[str, str]]) -> None:
        self._crew = crew
        self._tell_roster({})

    def _tell_roster(self, states: dict[str, str]) -> None:
        entries = [f"{time.time():.6f}"]
        for extension, (languages, skills) in self._crew.items():
            state, since, reason, _ = states.get(extension, "   ").split(" ")
            entries += [extension, languages, skills, "", state, reason, since]
        self.do("roster", *entries)

    def telephone(self, extension: str, state: str) -> None:
        self._stamp += 1
        self._telephones[extension] = state
        self.do("devices", extension, state, str(self._stamp))

    def wait(self, call: str, want: str, place: str, preferred: str) -> None:
        if call not in self._hash("held"):  # else it changes nothing
            self._requirements[call] = want
        self.do("wait", call, CALLS[call], want[:2], place, "1", want, preferred)

    def hand_out(self, call: str, extension: str) -> None:
        """Assign a call to a consultant who may lack the skill, but not the language."""
        before = self._hash("held")
        self.do("hand_out", call, extension, "user:aliya")
        if before != self._hash("held"):
            self._held.add((call, extension))
            assert self._requirements[call][:2] in self._crew[extension][0].split()

    def leave(self, call: str, outcome: str) -> None:
        extension = self._hash("held").get(call)
        self.do("leave", call, outcome, "1")
        self._unanswered.pop(call, None)
        if extension is not None and outcome == "unanswered":
            self._unanswered[call] = extension

    def time_passes(self) -> None:
        """Let leases, rests, wrap-ups and absences expire."""
        for queue, entry in self._hash("holds").items():
            self.redis.hset("desk:holds", queue, f"{PAST} {entry.split(' ', 1)[1]}")
        self.do("web")
        for key in ("leases", "asked", "wrap_up", "gone", "pages"):
            for member in self._members(key):
                self.redis.zadd(f"desk:{key}", {member: PAST})
        self.do("tick", CONTROLLERS[0])

    def dies(self, controller: str) -> None:
        """Kill a controller: its leases and places expire five seconds later."""
        calls = [call for call, of in (CALLS | OUTGOING).items() if of == controller]
        for call, extension in self._hash("held").items():
            if call in calls:
                self.redis.zadd("desk:leases", {extension: PAST})
        for call in calls:
            self.redis.zadd("desk:asked", {call: PAST}, xx=True)
        self.redis.delete(f"desk:offers:{controller}")
        self.do("tick", next(other for other in CONTROLLERS if other != controller))
        assert not set(calls) & (self._members("waiting") | set(self._hash("held")))

    def redis_loses_all(self) -> None:
        """Empty Redis; the next tick restores roster and devices."""
        states = self._hash("states")
        self.redis.flushdb()
        self.do("tick", CONTROLLERS[0])
        self._begun = {ext: PresenceState(entry.split(" ")[0]) for ext, entry in states.items()}
        for extension in EXTENSIONS:
            if extension not in self._crew:
                self._begun.pop(extension, None)
        self._tell_roster(states)
        for extension, state in self._telephones.items():
            self.telephone(extension, state)

    def snapshot(self) -> None:
        """Save what Redis has, as its `save` does."""
        dump = self.redis.dump
        self._snapshot = {
            key: (dump(key) or b"", self.redis.pttl(key)) for key in self.redis.scan_iter()
        }

    def redis_comes_back(self) -> None:
        """Kill Redis and start it from its snapshot; a worker had saved all changes before."""
        states = self._hash("states")
        self.redis.flushdb()
        for key, (value, ends) in self._snapshot.items():
            self.redis.restore(key, max(ends, 0), value)
        self.redis.delete("desk:changes")
        if self._snapshot:
            self.redis.set("desk:run", "0ld")
        self.do("tick", CONTROLLERS[0])
        assert not self._members("idle") | self._members("leases") | self._members("asked")
        self._unanswered.clear()
        self._begun = {ext: PresenceState(entry.split(" ")[0]) for ext, entry in states.items()}
        for extension in set(EXTENSIONS) - set(self._crew):
            self._begun.pop(extension, None)
        self._tell_roster(states)
        for extension in self._crew:
            was, reason = (states.get(extension, "signed_out 0 -").split(" ")[n] for n in (0, 2))
            if was == "paused" or reason == "asked":
                assert self._hash("states")[extension].startswith(f"{was} "), was
        for extension, state in self._telephones.items():
            self.telephone(extension, state)

    def check(self) -> None:
        """Assert the invariants: each consultant is reachable or says why not, leases match.

        And nobody who is idle fits anybody who waits and is not held back.
        """
        held = self._hash("held")
        holders = {ext: entry.split(" ")[0] for ext, entry in self._hash("holders").items()}
        assert {call: ext for ext, call in holders.items()} == held
        leases = self._members("leases")
        assert set(holders) <= leases
        states, devices = self._hash("states"), self._hash("devices")
        idle, wrap_up = self._members("idle"), self._members("wrap_up")
        on_roster = self._hash("roster")
        for extension in EXTENSIONS:
            resting = extension in leases - set(holders)
            presence = read_status(extension, states, devices, self._hash("after"), resting=resting)
            reachable = extension in on_roster and why_no_calls(presence) is None
            assert (extension in idle) == reachable, presence
            assert (extension in wrap_up) == (presence.state is PresenceState.WRAP_UP), presence
            assert (extension not in holders) or presence.state in ENGAGED, presence
            if presence.state in (PresenceState.OFFERED, PresenceState.RINGING):
                assert extension in holders, presence
            if presence.state is PresenceState.TALKING and extension not in holders:
                assert presence.telephone in ("INUSE", "BUSY"), presence
            if extension not in on_roster:
                assert presence.state in ENGAGED | {PresenceState.SIGNED_OUT}, presence
        self._check_history(states)
        self._check_lists(states)
        self._check_waiting(idle)

    def _check_lists(self, states: dict[str, str]) -> None:
        """Assert that the sets agree with the entries."""
        due: dict[str, set[str]] = defaultdict(set)
        idle = self._members("idle")
        for extension, (languages, skills) in self._crew.items():
            state = PresenceState(states.get(extension, "signed_out").split(" ")[0])
            is_unregistered = self._telephones.get(extension) in (None, "UNAVAILABLE")
            for language in languages.split():
                if state is not PresenceState.SIGNED_OUT and not is_unregistered:
                    due[f"desk:present:{language}"].add(extension)
                    if state is not PresenceState.PAUSED:
                        due[f"desk:working:{language}"].add(extension)
                if extension in idle:
                    for list_ in (language, *(f"{language}:{skill}" for skill in skills.split())):
                        due[f"desk:idle:{list_}"].add(extension)
        for call, entry in self._hash("calls").items():
            due["desk:wants"].add(entry.split(" ")[3])
            due[f"desk:waiting:{entry.split(' ')[3]}"].add(call)
        found: dict[str, set[str]] = {}
        for pattern in ("present:*", "working:*", "idle:*", "wants", "waiting:*"):
            for key in self.redis.scan_iter(f"desk:{pattern}"):
                is_set = self.redis.type(key) == "set"
                read: Any = self.redis.smembers(key) if is_set else self.redis.zrange(key, 0, -1)
                found[key] = set(read)
        assert found == due

    def _check_waiting(self, idle: set[str]) -> None:
        calls, held = self._hash("calls"), self._hash("held")
        assert set(calls) == self._members("waiting") == self._members("asked")
        assert not set(calls) & set(held)
        for call, extension in set(held.items()) - self._held:
            if call in OUTGOING:
                continue
            want = self._requirements[call]
            assert fits(self._crew[extension], extension, want)
            if self._unanswered.get(call) == extension:
                assert not [each for each in idle if fits(self._crew[each], each, want)]
        self._held = set(held.items())
        for call, entry in calls.items():
            if not self._is_held_back(call, entry):
                want = entry.split(" ")[3]
                assert not [each for each in idle if fits(self._crew[each], each, want)]

    def _is_held_back(self, call: str, entry: str) -> bool:
        _, language, arrival, want = entry.split(" ")
        is_urgent = float(self.redis.zscore("desk:waiting", call) or 0) < float(arrival)
        holds = self._hash("holds")
        return not is_urgent and not want.startswith("@") and bool({"all", language} & set(holds))

    def _check_history(self, states: dict[str, str]) -> None:
        history: dict[str, list[tuple[float, PresenceState]]] = defaultdict(list)
        entries: Any = self.redis.xrange("desk:changes")
        for _, fields in entries:
            history[fields["extension"]].append(
                (float(fields["at"]), PresenceState(fields["state"]))
            )
        for extension, changes in history.items():
            assert changes == sorted(changes, key=lambda change: change[0])
            before = self._begun.get(extension, PresenceState.SIGNED_OUT)
            for _, after in changes:
                assert after is before or after in MOVES[before]
                before = after
            assert states[extension].startswith(f"{before.value} ")

    def everybody_can_work_again(self) -> None:
        """Assert that every consultant can become ready again."""
        self.roster(CREWS[0])
        for call in (*CALLS, *OUTGOING):
            self.do("leave", call, "unused")
        for extension in EXTENSIONS:
            self.telephone(extension, "NOT_INUSE")
            self.do("ask", extension, "ready", "-", "self", "")
        self.check()
        assert self._members("idle") == set(EXTENSIONS)

    def _hash(self, key: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"desk:{key}"))  # type: ignore[arg-type]

    def _members(self, key: str) -> set[str]:
        return set(self.redis.zrange(f"desk:{key}", 0, -1))  # type: ignore[arg-type]


def fits(crew: tuple[str, str], extension: str, want: str) -> bool:
    """Independent implementation of the rule of matching.lua."""
    if want.startswith("@"):
        return want == f"@{extension}"
    language, *target = want.split(":")
    languages, skills = crew
    levels = dict(skill.split(":") for skill in skills.split())
    can = not target or int(levels.get(target[0], 0)) >= int(target[1])
    return language in languages.split() and can


Event = Callable[[Machine], None]
_extensions, _calls = st.sampled_from(EXTENSIONS), st.sampled_from(tuple(CALLS))
_queues = st.sampled_from(("kk", "ru", "all"))
_outgoing = st.sampled_from(tuple(OUTGOING))


def _telephone(extension: str, state: str) -> Event:
    return lambda machine: machine.telephone(extension, state)


def _ask(extension: str, target: PresenceState, page: str) -> Event:
    return lambda machine: machine.do("ask", extension, target.value, "lunch", "self", page)


def _seen(extension: str) -> Event:
    return lambda machine: machine.do("seen", extension)


def _wait(call: str, want: str, place: str, preferred: str) -> Event:
    return lambda machine: machine.wait(call, want, place, preferred)


def _dies(controller: str) -> Event:
    return lambda machine: machine.dies(controller)


def _stage(call: str, stage: str) -> Event:
    return lambda machine: machine.do("stage", call, stage)


def _leave(call: str, became: str) -> Event:
    return lambda machine: machine.leave(call, became)


def _occupy(call: str, extension: str) -> Event:
    return lambda machine: machine.do("occupy", call, OUTGOING[call], extension)


def _end(call: str, became: str) -> Event:
    return lambda machine: machine.do("leave", call, became)


def _hold_back(queue: str) -> Event:
    return lambda machine: machine.do("hold_back", queue, "600", "user:aliya", "a drill")


def _let_on(queue: str) -> Event:
    return lambda machine: machine.do("let_on", queue)


def _hand_out(call: str, extension: str) -> Event:
    return lambda machine: machine.hand_out(call, extension)


def _roster(crew: dict[str, tuple[str, str]]) -> Event:
    return lambda machine: machine.roster(crew)


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(_telephone, _extensions, st.sampled_from(TELEPHONES)),
    st.builds(
        _ask,
        _extensions,
        st.sampled_from((PresenceState.READY, *sorted(REQUESTABLE))),
        st.sampled_from(("", "page")),
    ),
    st.builds(_seen, _extensions),
    st.builds(
        _wait,
        _calls,
        st.sampled_from(WANTS),
        st.sampled_from(("0", "1", "2")),
        st.sampled_from(("", *EXTENSIONS)),
    ),
    st.builds(_stage, _calls, st.sampled_from(("ringing", "talking"))),
    st.builds(_leave, _calls, st.sampled_from(("unused", "unanswered", "talked"))),
    st.builds(_occupy, _outgoing, _extensions),
    st.builds(_end, _outgoing, st.sampled_from(("unused", "talked"))),
    st.builds(_hold_back, _queues),
    st.builds(_let_on, _queues),
    st.builds(_hand_out, _calls, _extensions),
    st.builds(_roster, st.sampled_from(CREWS)),
    st.builds(_dies, st.sampled_from(CONTROLLERS)),
    st.just(Machine.time_passes),
    st.just(Machine.redis_loses_all),
    st.just(Machine.snapshot),
    st.just(Machine.redis_comes_back),
    st.just(lambda machine: machine.do("tick", CONTROLLERS[0], *CALLS)),
)
