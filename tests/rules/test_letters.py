"""Our letters to those who demand recordings, as they are printed."""

from datetime import date

import pytest

from callcenter.demands.letters import REFUSING, WORDS, RefusalLetter, ground_of, refusal_letter
from callcenter.demands.rules.states import RefusalGround


def refusal_of(ground: RefusalGround, on: date = date(2026, 11, 25)) -> RefusalLetter:
    return RefusalLetter(
        number="26-0001/1",
        on=on,
        to_kk="Банк <А>",
        to_ru="Банк «А»",
        letter_number="03-2/117",
        letter_date=date(2026, 11, 24),
        ground=ground,
        refused_by="head",
    )


@pytest.mark.parametrize("ground", RefusalGround)
def test_every_ground_has_its_letter_in_both_languages(ground: RefusalGround) -> None:
    refusal = refusal_of(ground)
    made = refusal_letter(refusal)
    assert made.startswith(b"%PDF-")
    assert made.count(b"/Type /Page\n") == 2
    assert refusal_letter(refusal) == made
    kazakh, russian = (ground_of(refusal, language) for language in ("kk", "ru"))
    assert set("әғқңөұүі") & set(kazakh)
    assert not set("әғқңөұүі") & set(russian)
    assert REFUSING["kk"].keys() == REFUSING["ru"].keys()
    assert WORDS["kk"].keys() == WORDS["ru"].keys()


def test_a_refused_body_reads_which_one_is_authorised() -> None:
    before = refusal_of(RefusalGround.NOT_AUTHORISED, date(2025, 9, 17))
    now = refusal_of(RefusalGround.NOT_AUTHORISED)
    assert "17.09.2025 это Министерство цифрового развития, инноваций" in ground_of(before, "ru")
    assert ground_of(before, "ru").endswith("(уполномоченный орган в сфере информатизации).")
    assert "это Министерство искусственного интеллекта" in ground_of(now, "ru")
    assert ground_of(now, "ru").endswith("(уполномоченный орган в сфере цифровизации).")
    assert ground_of(now, "kk").endswith("(цифрландыру саласындағы уәкілетті орган).")
