"""Parameters of requests about the own call, API and page alike."""

from typing import Annotated, Literal

from fastapi import Form

What = Literal[
    "hold",
    "resume",
    "mute",
    "unmute",
    "hold_or_resume",
    "mute_or_unmute",
    "consult",
    "transfer",
    "call",
    "back",
    "together",
    "hand_over",
    "queue",
    "redirect",
    "survey",
    "ring_again",
]
ToWhom = Annotated[str | None, Form(max_length=50)]
WhichLanguage = Annotated[Literal["kk", "ru"] | None, Form()]
