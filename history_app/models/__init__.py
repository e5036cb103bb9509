"""Tables of what happened. They remember names by value and outlive what they name."""

from history_app.models.audit import AuditEntry
from history_app.models.requests import RequestRecord

__all__ = ["AuditEntry", "RequestRecord"]
