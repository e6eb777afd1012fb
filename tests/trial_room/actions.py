"""Actions on trees."""

from callcenter.platform.audit.actions import OPENS_PERSONAL_DATA, Action


class GardenAction(Action):
    """Actions on trees; subject: the appeal's number."""

    TREE_PROMISED = "web:tree:promised", "Tree promised"
    TREES_PLANTED = "web:tree:planted", "Trees planted"
    TREES_VIEWED = "web:tree:viewed", "Trees looked at", OPENS_PERSONAL_DATA
