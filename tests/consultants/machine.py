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
CALLS = ("one", "two", "three")
# Mostly free, or hardly anything would happen.
TELEPHONES = ("NOT_INUSE", "NOT_INUSE", "NOT_INUSE", "INUSE", "RINGING", "UNAVAILABLE", "BUSY")
CONTROLLER = "line-1"
PAST = 0.0


class Machine:
    """One controller, two consultants at work, three calls, on an emptied Redis."""

    def __init__(self, redis: Redis, rules: PlainRules) -> None:
        self.redis = redis
        self._script = redis.register_script(_preface(rules) + TEXT)
        self._stamp = 0
        redis.flushdb()
        self.roster(EXTENSIONS)
        self.do("tick", CONTROLLER)
        self.everybody_can_work_again()

    def do(self, *arguments: str) -> None:
        """Errors of our own making are no surprise; any other of the script fails the test."""
        try:
            self._script(args=arguments)
        except ResponseError as exc:
            if str(exc) != "OFFROSTER" and str(exc) != "ILLEGAL signed_out paused":
                raise

    def roster(self, extensions: tuple[str, ...]) -> None:
        told = [value for each in extensions for value in (each, "kk ru", "", "", "")]
        self.do("roster", *told)

    def telephone(self, extension: str, state: str) -> None:
        self._stamp += 1
        self.do("devices", extension, state, str(self._stamp))

    def time_passes(self) -> None:
        """Leases that nobody renews, rests, wrap-ups and absences all come to their ends."""
        for key in ("leases", "wrap_up", "gone"):
            for member in self._members(key):
                self.redis.zadd(f"desk:{key}", {member: PAST})
        self.do("tick", CONTROLLER)

    def check(self) -> None:
        """Every consultant can be reached, or it is said why not; every lease has two ends."""
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

    def _check_history(self, states: dict[str, str]) -> None:
        told: dict[str, list[tuple[float, State]]] = defaultdict(list)
        entries: Any = self.redis.xrange("desk:changes")
        for _, fields in entries:
            told[fields["extension"]].append((float(fields["at"]), State(fields["state"])))
        for extension, changes in told.items():
            assert changes == sorted(changes, key=lambda change: change[0])
            before = State.SIGNED_OUT
            for _, after in changes:
                assert after is before or after in MOVES[before]
                before = after
            assert states[extension].startswith(f"{before.value} ")

    def everybody_can_work_again(self) -> None:
        """Whatever happened before, nobody is lost for ever."""
        self.roster(EXTENSIONS)
        for call in CALLS:
            self.do("leave", call, "unused", "0")
        for extension in EXTENSIONS:
            self.telephone(extension, "NOT_INUSE")
            self.do("ask", extension, "ready", "-", "self")
        self.check()
        assert self._members("idle") == set(EXTENSIONS)

    def _hash(self, key: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"desk:{key}"))  # type: ignore[arg-type]

    def _members(self, key: str) -> set[str]:
        return set(self.redis.zrange(f"desk:{key}", 0, -1))  # type: ignore[arg-type]


Event = Callable[[Machine], None]
_extensions, _calls = st.sampled_from(EXTENSIONS), st.sampled_from(CALLS)


def _telephone(extension: str, state: str) -> Event:
    return lambda machine: machine.telephone(extension, state)


def _ask(extension: str, wanted: State) -> Event:
    return lambda machine: machine.do("ask", extension, wanted.value, "lunch", "self")


def _wait(call: str) -> Event:
    return lambda machine: machine.do("wait", call, CONTROLLER, "kk", "1", "1")


def _stage(call: str, stage: str) -> Event:
    return lambda machine: machine.do("stage", call, stage)


def _leave(call: str, became: str) -> Event:
    return lambda machine: machine.do("leave", call, became, "1")


def _roster(extensions: tuple[str, ...]) -> Event:
    return lambda machine: machine.roster(extensions)


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(_telephone, _extensions, st.sampled_from(TELEPHONES)),
    st.builds(_ask, _extensions, st.sampled_from((State.READY, *sorted(ASKABLE)))),
    st.builds(_wait, _calls),
    st.builds(_stage, _calls, st.sampled_from(("ringing", "talking"))),
    st.builds(_leave, _calls, st.sampled_from(("unused", "unanswered", "talked"))),
    st.builds(_roster, st.sampled_from((EXTENSIONS, EXTENSIONS[:1]))),
    st.just(Machine.time_passes),
    st.just(lambda machine: machine.do("tick", CONTROLLER, *CALLS)),
)
