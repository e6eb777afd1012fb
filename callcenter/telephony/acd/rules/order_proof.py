"""Proofs of orders for calls, and of answers to them: from who may give them.

HMAC-SHA256. That of an order covers all that it says: the mailbox, the call, the consultant, who
orders, the expiry and the id, which is given once. That of an answer covers what it says, and the
id.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from callcenter.platform.core.encryption import derive_key

PROOF = "proof"  #: the field of an order or answer that has it


class OrderRefusal(StrEnum):
    """Why an order, or the answer to one, is refused. Values are in the audit log: they stay."""

    UNSIGNED = "unsigned"  #: of a version before proofs, or put there by whoever writes to Redis
    FORGED = "forged"  #: the proof is wrong: of another order, or made without our secret
    MISDIRECTED = "misdirected"  #: it was given to another controller
    EXPIRED = "expired"
    REPLAYED = "replayed"  #: it was given before


class OrderKeys:
    """Keys of one kind of orders and their answers: the newest one signs, all verify."""

    def __init__(self, purpose: str, words: Sequence[str]) -> None:
        """`words` is the newest first; `purpose` keeps kinds apart that have the same word."""
        self._keys = [derive_key(purpose, word) for word in words]

    def sign(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The order with its proof."""
        return {**order, PROOF: _digest(self._keys[0], order)}

    def check(self, order: Mapping[str, Any]) -> OrderRefusal | None:
        """UNSIGNED or FORGED; None for an order that one of these keys has signed."""
        return self._check(order.get(PROOF), _unproven(order))

    def sign_answer(self, order: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a proven order, with its proof by the key of the order: a sender has it."""
        said = _unproven(order)
        key = next(each for each in self._keys if _is_proof(order[PROOF], each, said))
        return {**answer, PROOF: _digest(key, _answered(order["id"], answer))}

    def check_answer(self, order_id: str, answer: Mapping[str, Any]) -> OrderRefusal | None:
        """Check an answer to the order of this id, as `check` does an order."""
        return self._check(answer.get(PROOF), _answered(order_id, _unproven(answer)))

    def _check(self, proof: object, said: Mapping[str, Any]) -> OrderRefusal | None:
        if proof is None:
            return OrderRefusal.UNSIGNED
        is_right = any(_is_proof(proof, key, said) for key in self._keys)
        return None if is_right else OrderRefusal.FORGED


def _unproven(signed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in signed.items() if name != PROOF}


def _answered(order_id: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that the proof of an answer covers: no order has these alone."""
    return {"order": order_id, "answer": dict(answer)}


def _is_proof(proof: object, key: bytes, said: Mapping[str, Any]) -> bool:
    return hmac.compare_digest(_digest(key, said).encode(), str(proof).encode())


def _digest(key: bytes, said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hmac.digest(key, text.encode(), "sha256").hex()
