"""Tables of nodes and operations."""

from models_app.models.idempotency import IdempotentAnswer
from models_app.models.nodes import Node
from models_app.models.operations import Operation, OperationLogLine

__all__ = ["IdempotentAnswer", "Node", "Operation", "OperationLogLine"]
