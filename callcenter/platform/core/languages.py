"""Languages that callers and applicants are served in."""

CALLER_LANGUAGES = ("kk", "ru")  #: in the order in which callers are asked in both
