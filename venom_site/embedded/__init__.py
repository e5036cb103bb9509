"""What replaces Redis and Docker on one machine: supervisor, broker, channel layer.

`manage.py` imports `bootstrap` and `up` before any package is installed, so nothing
may be imported here.
"""
