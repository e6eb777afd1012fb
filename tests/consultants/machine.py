"""The desk as a machine to which anything may happen, and what has to be true of it always."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

from callcenter.consultants.duty import _duty
from callcenter.consultants.script import TEXT, PlainRules, _preface
from callcenter.consultants.states import ASKABLE, ENGAGED, MOVES, State, why_no_calls

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
PAST = 0.0


class Machine:
    """Two controllers, two consultants at work, three calls, on an emptied Redis."""

    def __init__(self, redis: Redis, rules: PlainRules) -> None:
        self.redis = redis
        self._script = redis.register_script(_preface(rules) + TEXT)
        self._stamp = 0
        self._crew = CREWS[0]
        self._telephones: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._held: set[tuple[str, str]] = set()
        self._begun: dict[str, State] = {}  # states from which the changes that Redis has begin
        redis.flushdb()
        self.everybody_can_work_again()

    def do(self, *arguments: str) -> None:
        """Errors of our own making are no surprise; any other of the script fails the test."""
        try:
            self._script(args=arguments)
        except ResponseError as exc:
            refused = (
                *("OFFROSTER", "NOTWAITING", "NOTSPOKEN"),
                *("ILLEGAL signed_out paused", "NOTFREE "),
            )
            if not str(exc).startswith(refused):
                raise

    def roster(self, crew: dict[str, tuple[str, str]]) -> None:
        self._crew = crew
        self._tell_roster({})

    def _tell_roster(self, known: dict[str, str]) -> None:
        told: list[str] = []
        for extension, (languages, skills) in self._crew.items():
            state, since, reason, _ = known.get(extension, "   ").split(" ")
            told += [extension, languages, skills, state, reason, since]
        self.do("roster", *told)

    def telephone(self, extension: str, state: str) -> None:
        self._stamp += 1
        self._telephones[extension] = state
        self.do("devices", extension, state, str(self._stamp))

    def wait(self, call: str, want: str, place: str, preferred: str) -> None:
        if call not in self._hash("held"):  # else it changes nothing
            self._wanted[call] = want
        self.do("wait", call, CALLS[call], want[:2], place, "1", want, preferred)

    def hand_out(self, call: str, extension: str) -> None:
        """A supervisor may give a call to somebody who lacks the skill, but not the language."""
        before = self._hash("held")
        self.do("hand_out", call, extension, "user:aliya")
        if before != self._hash("held"):
            self._held.add((call, extension))
            assert self._wanted[call][:2] in self._crew[extension][0].split()

    def time_passes(self) -> None:
        """What nobody renews, rests, wrap-ups and absences all come to their ends."""
        for queue, entry in self._hash("holds").items():
            self.redis.hset("desk:holds", queue, f"{PAST} {entry.split(' ', 1)[1]}")
        self.do("web")
        for key in ("leases", "asked", "wrap_up", "gone", "pages"):
            for member in self._members(key):
                self.redis.zadd(f"desk:{key}", {member: PAST})
        self.do("tick", CONTROLLERS[0])

    def dies(self, controller: str) -> None:
        """A controller is killed: what it held and asked for ends five seconds later."""
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
        """A controller sees it at its next tick, and tells what PostgreSQL and the switch know."""
        known = self._hash("states")
        self.redis.flushdb()
        self.do("tick", CONTROLLERS[0])
        self._begun = {ext: State(entry.split(" ")[0]) for ext, entry in known.items()}
        for extension in EXTENSIONS:
            if extension not in self._crew:
                self._begun.pop(extension, None)
        self._tell_roster(known)
        for extension, state in self._telephones.items():
            self.telephone(extension, state)

    def check(self) -> None:
        """Every consultant can be reached, or it is said why not; every lease has two ends.

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
            duty = _duty(extension, states, devices, self._hash("after"), resting=resting)
            reachable = extension in on_roster and why_no_calls(duty) is None
            assert (extension in idle) == reachable, duty
            assert (extension in wrap_up) == (duty.state is State.WRAP_UP), duty
            assert (extension not in holders) or duty.state in ENGAGED, duty
            if duty.state in (State.OFFERED, State.RINGING):
                assert extension in holders, duty
            if duty.state is State.TALKING and extension not in holders:
                assert duty.telephone in ("INUSE", "BUSY"), duty
            if extension not in on_roster:
                assert duty.state in ENGAGED | {State.SIGNED_OUT}, duty
        self._check_history(states)
        self._check_lists(states)
        self._check_waiting(idle)

    def _check_lists(self, states: dict[str, str]) -> None:
        """The lists say of everybody what the entries do."""
        due: dict[str, set[str]] = defaultdict(set)
        idle = self._members("idle")
        for extension, (languages, skills) in self._crew.items():
            state = State(states.get(extension, "signed_out").split(" ")[0])
            away = self._telephones.get(extension) in (None, "UNAVAILABLE")
            for language in languages.split():
                if state is not State.SIGNED_OUT and not away:
                    due[f"desk:present:{language}"].add(extension)
                    if state is not State.PAUSED:
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
            assert fits(self._crew[extension], extension, self._wanted[call])
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
        told: dict[str, list[tuple[float, State]]] = defaultdict(list)
        entries: Any = self.redis.xrange("desk:changes")
        for _, fields in entries:
            told[fields["extension"]].append((float(fields["at"]), State(fields["state"])))
        for extension, changes in told.items():
            assert changes == sorted(changes, key=lambda change: change[0])
            before = self._begun.get(extension, State.SIGNED_OUT)
            for _, after in changes:
                assert after is before or after in MOVES[before]
                before = after
            assert states[extension].startswith(f"{before.value} ")

    def everybody_can_work_again(self) -> None:
        """Whatever happened before, nobody is lost for ever."""
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
    """The rule of matching.lua once more, in other words."""
    if want.startswith("@"):
        return want == f"@{extension}"
    language, *wanted = want.split(":")
    languages, skills = crew
    levels = dict(skill.split(":") for skill in skills.split())
    can = not wanted or int(levels.get(wanted[0], 0)) >= int(wanted[1])
    return language in languages.split() and can


Event = Callable[[Machine], None]
_extensions, _calls = st.sampled_from(EXTENSIONS), st.sampled_from(tuple(CALLS))
_queues = st.sampled_from(("kk", "ru", "all"))
_outgoing = st.sampled_from(tuple(OUTGOING))


def _telephone(extension: str, state: str) -> Event:
    return lambda machine: machine.telephone(extension, state)


def _ask(extension: str, wanted: State, page: str) -> Event:
    return lambda machine: machine.do("ask", extension, wanted.value, "lunch", "self", page)


def _seen(extension: str) -> Event:
    return lambda machine: machine.do("seen", extension)


def _wait(call: str, want: str, place: str, preferred: str) -> Event:
    return lambda machine: machine.wait(call, want, place, preferred)


def _dies(controller: str) -> Event:
    return lambda machine: machine.dies(controller)


def _stage(call: str, stage: str) -> Event:
    return lambda machine: machine.do("stage", call, stage)


def _leave(call: str, became: str) -> Event:
    return lambda machine: machine.do("leave", call, became, "1")


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
        st.sampled_from((State.READY, *sorted(ASKABLE))),
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
    st.just(lambda machine: machine.do("tick", CONTROLLERS[0], *CALLS)),
)
