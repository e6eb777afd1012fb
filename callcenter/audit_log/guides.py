"""Guides of the pages of this room."""

from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "audit_log/log.html",
        N_("The audit log says who did what with appeals, recordings and people, and when."),
        steps=(
            GuideLine(N_("Choose a person, an action, an appeal or days, and press Find.")),
            GuideLine(
                N_(
                    "Each entry holds the proof of the one before it: nothing is changed or "
                    "taken out. A press on a name, or on what it was done with, shows all "
                    "entries of it. That you read or export the log is an entry, too."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A file holds a limited number of entries. When it is too small, choose "
                    "fewer days."
                ),
                AuditLogPermission.EXPORT_AUDIT_LOG,
            ),
            GuideLine(
                N_(
                    "If you see something that should not have been done, write the time down "
                    "and tell the head."
                )
            ),
        ),
        has_picture=True,
    ),
)
