"""Tables of nodes, installed models, operations and kept answers of catalogues."""

from models_app.models.catalog import CatalogEntry, CatalogPause
from models_app.models.idempotency import IdempotentAnswer
from models_app.models.installed import Capabilities, InstalledModel
from models_app.models.nodes import Node
from models_app.models.operation_log import OperationLogLine
from models_app.models.operations import Operation

__all__ = [
    "Capabilities",
    "CatalogEntry",
    "CatalogPause",
    "IdempotentAnswer",
    "InstalledModel",
    "Node",
    "Operation",
    "OperationLogLine",
]
