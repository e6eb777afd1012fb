"""Register of personal data: which columns of a table hold them, and what ends their term."""

from dataclasses import dataclass

from sqlalchemy import Table

from callcenter.platform.core.errors import OperationFailed


@dataclass(frozen=True, slots=True)
class Erasure:
    """Term of personal data in words, and the function that erases them then.

    `when` begins with "setting NAME" if a setting decides. `by` is `module:function`.
    """

    when: str
    by: str

    def __post_init__(self) -> None:
        if not self.when or not self.by:
            raise OperationFailed("personal data: say when they are erased, and by what")


@dataclass(frozen=True, slots=True)
class Permanent:
    """Why personal data stay as long as the database: neither a term nor masking ends them."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason:
            raise OperationFailed("personal data: erase them, or say why they are kept")


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Extension point: columns of a table that hold personal data, tied to an appeal or not.

    Raises OperationFailed when the table has no such column.
    """

    table: Table
    columns: tuple[str, ...]
    ends: Erasure | Permanent

    def __post_init__(self) -> None:
        missing = [name for name in self.columns if name not in self.table.c]
        if missing or not self.columns:
            raise OperationFailed(
                f"personal data of {self.table.name}: name columns that it has, not {missing}"
            )
