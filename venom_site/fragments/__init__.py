"""What an event changes on a page, and the HTML of that change.

Called by the sockets of `consumers.py`. Events are hints, rows are truth: a fragment
is rendered from the database, once per event, language and permission set, and shared
by every socket of this process. Knows no socket.
"""

from __future__ import annotations

from venom_site.fragments.sharing import Shared, shared
from venom_site.fragments.table import Change, changes

__all__ = ["Change", "Shared", "changes", "shared"]
