"""The calls that a controller has now, by every id by which somebody may ask for one."""

from collections.abc import Iterator

from callcenter.consultants.dispatch import first_id
from callcenter.line.call import Call
from callcenter.line.ports import Record


class UnderWay:
    """Of one controller. Iterating yields each call once."""

    def __init__(self) -> None:
        self._by_id: dict[str, Call] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter({id(call): call for call in self._by_id.values()}.values())

    def begin(self, call: Call, *places: str) -> None:
        """The desk knows it by the id of its leg, or by these of other places."""
        self._by_id |= dict.fromkeys((call.leg.id, *places), call)

    def end(self, record: Record) -> None:
        """The call of this record is over."""
        for each in [known for known, call in self._by_id.items() if call.record is record]:
            del self._by_id[each]

    def find(self, call_id: str) -> Call | None:
        """The call that the desk knows by this id, or by a further place of it."""
        return self._by_id.get(first_id(call_id))
