"""The gate: chooses the tests of a run, runs them in lanes and says what lets a commit in.

`scripts/test` is `python -m tests.gate`. `plugin.py` is its part inside of pytest. Why it is as it
is: docs/decisions/0114.
"""
