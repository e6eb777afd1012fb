"""Labels of the center's own lists on pages: skills and reasons of pauses.

The center names its entries in Kazakh and Russian. Those that the product brings have words in
English too; any other is shown by its Russian name, which says of itself that it is Russian.
"""

from collections.abc import Mapping

from markupsafe import Markup, escape

from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator

IN_ENGLISH = {
    "psychologist": N_("Psychologist"),
    "lawyer": N_("Lawyer"),
    "children": N_("Work with children"),
    "lunch": N_("Lunch break"),
    "training": N_("Training"),
    "recovery": N_("Recovery after a hard call"),
    "supervision": N_("Clinical supervision"),
    "technical": N_("Technical reason"),
}


def name_of(words: Translator, code: str, names: Mapping[str, str]) -> Markup:
    """The name of an entry, ready for HTML; `names` are the center's, by language (kk, ru)."""
    if words.language in names:
        return escape(names[words.language])
    if code in IN_ENGLISH:
        return words(IN_ENGLISH[code])
    return Markup('<span lang="ru">{}</span>').format(names["ru"])
