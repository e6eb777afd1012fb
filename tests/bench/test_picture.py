"""The picture is an SVG that shows every rate of both sides."""

from xml.etree import ElementTree

from tests.bench.picture import picture
from tests.bench.results import Spread
from tests.bench.test_results import FINE, LATE, hold, sample

SVG = "{http://www.w3.org/2000/svg}"


def test_every_rate_of_both_sides_has_its_point() -> None:
    samples = [sample("plain", rate=5.0), sample("plain", rate=15.0), sample(rate=5.0)]
    samples += [hold(20.0, 1), hold(20.0, 2, LATE)]
    root = ElementTree.fromstring(picture(samples, {"machine": "2 < 3 cores"}))  # noqa: S314 ours
    assert len(root.findall(f"{SVG}circle")) == 4
    assert len(root.findall(f"{SVG}polyline")) == 2
    assert any("2 < 3 cores" in (text.text or "") for text in root.findall(f"{SVG}text"))


def test_a_later_answer_is_drawn_higher() -> None:
    def height(answer: Spread) -> float:
        drawn = ElementTree.fromstring(picture([hold(20.0, 1, answer)], {}))  # noqa: S314 ours
        circle = drawn.find(f"{SVG}circle")
        assert circle is not None
        return float(circle.attrib["cy"])

    assert height(LATE) < height(FINE)


def test_nothing_measured_draws_an_empty_frame() -> None:
    root = ElementTree.fromstring(picture([], {}))  # noqa: S314 ours
    assert root.findall(f"{SVG}circle") == []
