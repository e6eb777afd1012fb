"""Guides of the pages of this room."""

from callcenter.demands.permissions import DemandPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "demands/demands.html",
        N_(
            "Here are demands for recordings by the authorised body, with the time that "
            "is left for each."
        ),
        steps=(
            GuideLine(
                N_(
                    "Register a letter as soon as it arrives, with its scan: the time runs from "
                    "its arrival."
                )
            ),
            GuideLine(N_("Begin with the demand that is due first, at the top.")),
            GuideLine(
                N_(
                    "Confirm a key of the authority only after you compared it by another way, "
                    "as by telephone."
                ),
                DemandPermission.RELEASE_DEMANDS,
            ),
        ),
        troubles=(
            GuideLine(
                N_("When a demand is overdue, or will be, tell the head at once."),
                without=DemandPermission.RELEASE_DEMANDS,
            ),
            GuideLine(
                N_(
                    "A key that may be in other hands is revoked here: nothing is encrypted to "
                    "it any more."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "demands/demand.html",
        N_("This is one demand, from the letter to the acknowledgement, step by step."),
        steps=(
            GuideLine(
                N_("Compare what was found with the letter, and choose only what the letter names.")
            ),
            GuideLine(
                N_("Write the reason and mark it as checked. Another person releases it."),
                without=DemandPermission.RELEASE_DEMANDS,
            ),
            GuideLine(
                N_(
                    "Release it only when you checked the ground and the choice yourself: it "
                    "cannot be taken back."
                ),
                DemandPermission.RELEASE_DEMANDS,
            ),
            GuideLine(
                N_(
                    "The bundle can be taken once: put it on the carrier and hand it over with "
                    "the letter."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_("If nothing is found, look at number and times in the letter, and search again.")
            ),
            GuideLine(
                N_(
                    "A demand without a legal ground is refused with a letter, which this page "
                    "makes."
                ),
                DemandPermission.RELEASE_DEMANDS,
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "demands/authority.html",
        N_("Here the authorised body makes demands for recordings and takes what is released."),
        steps=(
            GuideLine(
                N_(
                    "Add your public key first, and tell the center its checksum by telephone: "
                    "the center confirms it."
                )
            ),
            GuideLine(
                N_(
                    "Register a demand with the letter and its scan. The state beside it says "
                    "what happens with it."
                )
            ),
            GuideLine(
                N_(
                    "When a bundle is ready, download it on the computer that will store it, "
                    "verify it, and acknowledge."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A bundle can be downloaded once for each key. If that broke off, do not "
                    "acknowledge: add another key and tell the center."
                )
            ),
            GuideLine(
                N_(
                    "If the check does not say that the bundle is genuine, use nothing of it "
                    "and tell the center."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "demands/records_office.html",
        N_("Here you see at the start of the day what waits for you, and until when."),
        steps=(
            GuideLine(N_("Begin with the demand at the top: it is due first.")),
            GuideLine(N_("The column with what it waits for says whose turn it is.")),
            GuideLine(N_("Then open the lists above that have a number.")),
        ),
        troubles=(
            GuideLine(
                N_("When a demand waits for somebody else and is due soon, tell that person.")
            ),
        ),
    ),
    Guide(
        "demands/open_bundle.html",
        N_("Here a bundle is decrypted, verified, listened to and saved in your browser."),
        steps=(
            GuideLine(N_("Choose your key file, and compare the checksum with the paper letter.")),
            GuideLine(N_("Press the button and wait until it says that it is verified.")),
            GuideLine(N_("Save the encrypted bundle and the files. Then acknowledge the demand.")),
        ),
        troubles=(
            GuideLine(
                N_("The bundle is taken once. With a wrong key nothing is taken: choose another.")
            ),
            GuideLine(N_("If it is not verified, use nothing of it and tell the center.")),
        ),
    ),
)
