"""Reading server-sent events as a client does."""

from __future__ import annotations

import json


def events(response):
    """(id, event, data) of each event as it comes."""
    fields = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
