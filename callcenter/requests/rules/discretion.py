"""Topics of which a machine does not say that a state body has them."""

from collections.abc import Collection, Iterable

from callcenter.appeals.rules.fields import Option

#: With all that are below them, those that the center adds too. A missing child may have been taken
#: by a parent, and `other` says nothing.
DISCREET = ("violence", "neglect", "family", "mental", "missing", "other")


def needs_discretion(topics: Collection[str], options: Iterable[Option]) -> bool:
    """Whether what has these topics may be about the home, or about who thinks of suicide.

    Whoever lives there may be the danger. What has none, or one that is none of the options, is
    unknown, and may be about it.
    """
    parents = {option.code: option.parent for option in options}
    for topic in topics:
        above = [topic]
        while above[-1] in parents and parents[above[-1]] not in above:
            above.append(parents[above[-1]])
        if topic not in parents or not set(above).isdisjoint(DISCREET):
            return True
    return not topics
