"""The calls that one controller has now, by every id under which one may be looked up."""

import asyncio
from collections.abc import Iterator

from callcenter.telephony.acd.command_bus import first_id
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.ports import CallRecordPort


class ActiveCalls:
    """Calls of one controller by id. Iterating yields each call once."""

    def __init__(self) -> None:
        self._by_id: dict[str, Call] = {}
        self.any = asyncio.Event()  #: set while there are calls

    def __iter__(self) -> Iterator[Call]:
        return iter({id(call): call for call in self._by_id.values()}.values())

    def begin(self, call: Call, *places: str) -> None:
        """Add a call, under the id of its leg and those of its further places in the queue."""
        self._by_id |= dict.fromkeys((call.leg.id, *places), call)
        self.any.set()

    def end(self, record: CallRecordPort) -> None:
        """Remove the call of this record, under all its ids."""
        for each in [i for i, call in self._by_id.items() if call.record is record]:
            del self._by_id[each]
        if not self._by_id:
            self.any.clear()

    def find(self, call_id: str) -> Call | None:
        """The call with this id, or the id of a further place of it."""
        return self._by_id.get(first_id(call_id))
