"""The scan of the words of a request: what identifies somebody is found, however it is written."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.appeals.rules.iin import check_digit
from callcenter.requests.rules.text_scan import FindingKind, scan_text

RECORD = {
    "applicant.name": "Сапарова Айгүл Маратқызы",
    "applicant.phone": "+77012345667",
    "applicant.email": "aigul@mail.kz",
    "applicant.address": "г. Алматы, ул. Абая 12, кв 5",
    "applicant.identifier": "900101300017",
    "accused.name": "Сапаров Серик",
    "affected1.name": "Дана",
}
PUBLIC = (
    *("город Алматы", "Алматинская область", "Алматы", "область Абай", "Генеральная прокуратура"),
    *("Мағжан Жұмабаев ауданы", "район Магжана Жумабаева", "Әуезов ауданы", "Ауэзовский район"),
    *("Закон", "Уәкіл"),
    *("112", "—"),  # a name may have no letters
)
#: That the record has, and the request has not.
SECRETS = ["87012345667", "aigul@mail.kz", "900101300017", "сапаров", "улица Абая 12"]
SEPARATORS = st.sampled_from(["", " ", "-", ".", " - ", "\u00a0", "\u200b", "–"])


def is_shown(letter: str) -> bool:
    return unicodedata.category(letter) != "Cf"


def found(text: str, *chosen: str) -> list[tuple[FindingKind, str]]:
    return [(each.kind, each.text) for each in scan_text(text, RECORD, chosen, PUBLIC)]


def texts(text: str, kind: FindingKind, *chosen: str) -> list[str]:
    return [each for which, each in found(text, *chosen) if which is kind]


@given(
    st.text(st.sampled_from("0123456789"), min_size=11, max_size=11),
    st.lists(SEPARATORS, min_size=11, max_size=11),
    st.sampled_from(["", "ИИН ", "у него "]),
)
def test_an_identifier_is_found_by_its_check_digit(
    eleven: str, separators: list[str], before: str
) -> None:
    digit = check_digit(eleven)
    if digit is None:
        return
    written = "".join(map("".join, zip(eleven, separators, strict=True))) + str(digit)
    assert [kind for kind, _ in found(f"{before}{written} просит")] == [FindingKind.IDENTIFIER]
    # A mistyped one is a number that is somebody's all the same, unless it looks like a day.
    shown = "".join(filter(is_shown, written))
    if "." in shown or re.search(r"\d{4}[-–]\d\d[-–]\d\d", shown):
        return
    wrong = written[:-1] + str((digit + 1) % 10)
    assert [kind for kind, _ in found(f"{before}{wrong} просит")] in (
        [FindingKind.NUMBER],
        [FindingKind.TELEPHONE],
    )


@pytest.mark.parametrize(
    "number",
    [
        "+7 701 234 56 68",
        "8(701)2345668",
        "87012345668",
        "701-234-56-68",
        "27-15-40",
        "250 12 34",
        "8 701 234, 56 67",
        "8701\n2345667",
        "８７０１２３４５６６８",
    ],
)
def test_a_telephone_is_found_however_it_is_written(number: str) -> None:
    assert texts(f"звоните {number}.", FindingKind.TELEPHONE) != []


@pytest.mark.parametrize("number", ["N12345678", "паспорт № 1234567", "KZ1234567", "012345678"])
def test_a_number_of_a_document_is_found(number: str) -> None:
    assert texts(f"предъявила {number}", FindingKind.NUMBER) != []


@pytest.mark.parametrize(
    "text", ["12.03.2026 в 14:20", "12.03.2026 14:20", "2026-11-24", "1 500 тенге", "25 школа"]
)
def test_days_times_and_sums_are_nobodys(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "address",
    ["ул. Абая 12", "улице Абая, дом 12", "Абай көшесі 12", "доме № 5", "пр-т Мира 3", "Абая 12"],
)
def test_an_address_is_found_with_and_without_a_street(address: str) -> None:
    assert texts(f"живут на {address}", FindingKind.ADDRESS) != []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("это сделал сапаров", "сапаров"),
        ("дочь дану бьют", "дану"),
        ("Дананы ұрады", "Дананы"),
        ("видел сосед Иван", "Иван"),
        ("говорит с Петром", "Петром"),
        ("Мария Петрова видела", "Мария Петрова"),
        ("мұғалім Бауыржанұлы", "мұғалім Бауыржанұлы"),
        ("Директор И.И. Иванов", "И.И. Иванов"),
        ("ИВАНОВ ИВАН бьёт", "ИВАНОВ ИВАН"),
        ("Kairat бьёт, а Serik видел", "Serik"),
        ("Kairat бьёт", "Kairat"),
        ("бьёт ИВАНОВ", "ИВАНОВ"),
        ("ИВАНОВ бьёт", "ИВАНОВ"),
        ("бьёт ОЛЕГ", "ОЛЕГ"),
        ("ЯНА бьёт", "ЯНА"),
        ("бьёт ПЁТР", "ПЁТР"),
        ("ГЛЕБ бьёт", "ГЛЕБ"),
        ("бьёт ЛЕВ", "ЛЕВ"),
        ("Тимур бьёт жену", "Тимур"),
        ("Ивана нет дома", "Ивана"),
        ("Ольгу бьют", "Ольгу"),
        ("Айгерімді ұрады", "Айгерімді"),
        ("Просит помощи. Петров бьёт её", "Петров"),
        ("Ахметова боится", "Ахметова"),
        ("Нұрлыбекке барды", "Нұрлыбекке"),
        ("Соседи: «Руслана нет дома»", "Руслана"),
        ("муж (Толеген) бьёт", "Толеген"),
        ("по кличке «Шырак»", "Шырак"),
        ("имя:Сания", "Сания"),
        ("мать/Сания", "Сания"),
        ("бьёт гр. Ким", "Ким"),
        ("Цой В.А. бьёт", "Цой В.А."),
        ("ЦОЙ В. А. бьёт", "ЦОЙ В. А."),
        ("видел иван петрович", "видел иван петрович"),
        ("Жумабаев бьёт жену", "Жумабаев"),
        ("Магжан Жумабаев бьёт", "Магжан Жумабаев"),
        ("Жумабаев М.А. бьёт", "Жумабаев М.А."),
        ("живёт с Ауэзовым", "Ауэзовым"),
        ("видел Ауэзов. Район не знает", "Ауэзов"),
        ("бьёт Абай, и область это знает", "Абай"),
        ("район, Магжан Жумабаев бьёт", "Магжан Жумабаев"),
        ("Алматов бьёт жену", "Алматов"),
        ("Законов бьёт жену", "Законов"),
        ("Уакилов бьёт жену", "Уакилов"),
    ],
)
def test_names_of_others_are_found(text: str, name: str) -> None:
    assert name in texts(text, FindingKind.NAME, "applicant.name")


def test_words_may_say_what_a_chosen_field_says() -> None:
    text = (
        "Заявительница Сапарова Айгүл просит звонить 8 701 234-56-67, пишет с aigul@mail.kz,"
        " живёт в Алматы по адресу: ул. Абая 12, ИИН 900101300017."
    )
    fields = ("name", "phone", "email", "address", "identifier")
    assert found(text, *(f"applicant.{each}" for each in fields)) == []
    kinds = {
        "name": FindingKind.NAME,
        "phone": FindingKind.TELEPHONE,
        "email": FindingKind.EMAIL,
        "address": FindingKind.ADDRESS,
        "identifier": FindingKind.IDENTIFIER,
    }
    for left_out, kind in kinds.items():
        chosen = [f"applicant.{each}" for each in fields if each != left_out]
        assert kind in [which for which, _ in found(text, *chosen)], left_out


ORDINARY = [
    "Муж бьёт, боюсь идти домой. Просим Вас провести проверку и обеспечить безопасность детей.",
    "Заявительница сообщила: «Он угрожает мне каждый день». Участковый не приехал.",
    "Просим:\n1) Проверить условия жизни;\n2) Сообщить о мерах.\n- Срок: три рабочих дня.",
    "Готова дать показания. Случаев было пять. Здоровье ухудшилось! Слова не помогают.",
    "Просим оказать помощь семье из города Алматы по Закону о профилактике бытового насилия.",
    "По ст. 73 КоАП РК, уголовной ответственности и главная, активная помощь не предусмотрены.",
    "СРОЧНО: ребёнок в опасности, вызваны МВД, РОВД, ЗАГС, ГАИ, АСП, ИИН, ҚР и ЦОН.",
    "Живёт в районе Магжана Жумабаева, работает в Ауэзовском районе и в области Абай.",
    "Обратилась в Генеральную прокуратуру. Мағжан Жұмабаев ауданында тұрады.",
    "Сумма 1 500 000 тенге, дети 8, 10, 12 лет, в 2023, 2024, 2025 годах, школа 25.",
    "Верните пособие. Данные изменены. Максимально быстро! Светлое время суток.",
    "Күйеуі ұрып-соғады, үйге қайтуға қорқады. Сізден тексеру жүргізуді сұраймыз.",
    "Анасы мен балалары көмекке мұқтаж. Жаңа пәтер іздеп жүр. Еңбек шарты жасалмаған.",
    "Алматы қаласындағы мектепте оқиды. Ашулы, қарулы адам есік алдында тұр.",
    "Әлі күнге жауап жоқ. Бұрын да хабарласқан: «Полиция келген жоқ» дейді. Жұмысы жоқ.",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_sentences_say_nothing_of_anybody(text: str) -> None:
    assert scan_text(text, {}, (), PUBLIC) == []


def test_a_text_in_capitals_is_one_finding_a_sentence() -> None:
    text = "МУЖ БЬЁТ МЕНЯ И ДЕТЕЙ. БОЮСЬ ИДТИ ДОМОЙ."
    assert texts(text, FindingKind.NAME) == ["МУЖ БЬЁТ МЕНЯ И ДЕТЕЙ", "БОЮСЬ ИДТИ ДОМОЙ"]


def test_a_text_does_not_say_its_own_address() -> None:
    """Only fields of addresses and e-mails are what they say, and by whole words."""
    text = "пишет gul@mail.kz, живёт ул. Абая 1"
    record = {
        "content": text,
        "applicant.email": "aigul@mail.kz",
        "place": "г. Алматы, ул. Абая 12",
    }
    for chosen in (["content"], list(record)):
        kinds = [each.kind for each in scan_text(text, record, chosen)]
        assert kinds == [FindingKind.EMAIL, FindingKind.ADDRESS]
    for said in ("aigul@mail.kz", "ул. Абая 12"):
        assert scan_text(said, record, list(record)) == []


def test_a_surname_that_two_share_is_found_as_the_others() -> None:
    assert texts("Сапарову бьёт Сапаров", FindingKind.NAME, "applicant.name") == [
        "Сапарову",
        "Сапаров",
    ]
    assert texts("Сапарова просит", FindingKind.NAME, "applicant.name") == []


#: Text of the letters, digits and signs that patterns look for.
AROUND = st.text(
    st.characters(codec="utf-8") | st.sampled_from('АаБә12 \n.,:;-+8(«"@№'), max_size=80
)


@given(AROUND)
@example("8701\n2345667, А.\r\nСапаров")
def test_a_finding_stands_in_the_text_and_is_cleared_once(text: str) -> None:
    """As it is sent: a browser changes line breaks, and nothing else of it."""
    findings = scan_text(text, RECORD, ["applicant.name"], PUBLIC)
    shown = "".join(filter(is_shown, unicodedata.normalize("NFKC", text)))
    for each in findings:
        assert each.text == " ".join(each.text.split()) != ""
        assert re.sub(r"[\s\W]", "", each.text) in re.sub(r"[\s\W]", "", shown)
    assert len({each.key for each in findings}) == len(findings)


@given(AROUND, st.sampled_from(SECRETS), AROUND)
def test_what_identifies_is_found_in_any_surroundings(before: str, secret: str, after: str) -> None:
    findings = scan_text(f"{before}\n{secret}\n{after}", RECORD, ["applicant.name"], PUBLIC)
    assert any(secret in each.text for each in findings)


@pytest.mark.parametrize("key", ["applicant.phone", "applicant.email", "applicant.address"])
def test_what_a_chosen_field_is_for_is_no_finding(key: str) -> None:
    assert found(RECORD[key], key) == []
    for other in RECORD.keys() - {key, "applicant.identifier"}:
        assert found(f"{RECORD[key]} ({RECORD[other]})", key) != [], other
