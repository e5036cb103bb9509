"""Tables of runtimes, activations, keys and what the gateway processes agree on."""

from runtime_app.models.activations import Activation
from runtime_app.models.gateway import PolicyVersion
from runtime_app.models.governance import Access, ApiKey, SignInLink
from runtime_app.models.runtimes import Runtime

__all__ = ["Access", "Activation", "ApiKey", "PolicyVersion", "Runtime", "SignInLink"]
