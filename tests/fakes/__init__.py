"""Practice neighbours: loopback stand-ins for the programs Venom talks to.

Tests start them in-process through `fixtures.py`; people start them by hand
with `python -m tests.fakes.<name>`. Nothing of the product may import this.
"""
