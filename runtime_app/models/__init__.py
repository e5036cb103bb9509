"""Tables of runtimes, activations, keys, alerts, conversations, and of what the
gateway processes agree on."""

from runtime_app.models.activations import Activation
from runtime_app.models.alerts import Alert
from runtime_app.models.chat import ChatMessage, ChatSession, Task
from runtime_app.models.gateway import Drain, GatewayPresence, PolicyVersion
from runtime_app.models.governance import Access, ApiKey, SignInLink
from runtime_app.models.parameters import GenerationParameters
from runtime_app.models.phrases import TriggerPhrase
from runtime_app.models.runtimes import Runtime
from runtime_app.models.samples import MachineSample, RuntimeSample
from runtime_app.models.trials import Trial

__all__ = [
    "Access",
    "Activation",
    "Alert",
    "ApiKey",
    "ChatMessage",
    "ChatSession",
    "Drain",
    "GatewayPresence",
    "GenerationParameters",
    "MachineSample",
    "PolicyVersion",
    "Runtime",
    "RuntimeSample",
    "SignInLink",
    "Task",
    "Trial",
    "TriggerPhrase",
]
