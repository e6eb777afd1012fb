"""Our letters to those who demand recordings, as they are printed."""

from datetime import date

import pytest

from callcenter.demands.letters import GROUNDS, REFUSING, WORDS, Refusal, refusal_letter
from callcenter.demands.states import Ground


@pytest.mark.parametrize("ground", Ground)
def test_every_ground_has_its_letter_in_both_languages(ground: Ground) -> None:
    refusal = Refusal(
        number="26-0001/1",
        on=date(2026, 11, 25),
        to_kk="Банк <А>",
        to_ru="Банк «А»",
        letter_number="03-2/117",
        letter_date=date(2026, 11, 24),
        ground=ground,
        refused_by="head",
    )
    made = refusal_letter(refusal)
    assert made.startswith(b"%PDF-")
    assert made.count(b"/Type /Page\n") == 2
    assert refusal_letter(refusal) == made
    kazakh, russian = (GROUNDS[language][ground] for language in ("kk", "ru"))
    assert set("әғқңөұүі") & set(kazakh)
    assert not set("әғқңөұүі") & set(russian)
    assert REFUSING["kk"].keys() == REFUSING["ru"].keys()
    assert WORDS["kk"].keys() == WORDS["ru"].keys()
