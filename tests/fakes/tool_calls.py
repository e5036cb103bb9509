"""When a practice model calls a tool, and with what.

Whoever asks with tools gets the first one called, filled in from its schema; once
the last message is a tool's result, it answers in words.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, in the two shapes of Ollama's two APIs."""

    id: str
    name: str
    arguments: dict[str, Any]

    def native(self, index: int) -> dict[str, Any]:
        """Arguments are an object here."""
        function = {"index": index, "name": self.name, "arguments": self.arguments}
        return {"id": self.id, "function": function}

    def openai(self, index: int) -> dict[str, Any]:
        """Arguments are a string of JSON here."""
        said = json.dumps(self.arguments, ensure_ascii=False)
        function = {"name": self.name, "arguments": said}
        return {
            "id": self.id,
            "index": index,
            "type": "function",
            "function": function,
        }


def calls_for(body: dict[str, Any], prompt: str) -> tuple[ToolCall, ...]:
    """Return the call this chat leads to, none without tools or after a result."""
    tools, messages = body.get("tools"), body.get("messages")
    if not (isinstance(tools, list) and tools and isinstance(messages, list)):
        return ()
    last = messages[-1] if messages else None
    if isinstance(last, dict) and last.get("role") != "user":
        return ()
    function = tools[0].get("function") if isinstance(tools[0], dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return ()
    number = hashlib.sha256(prompt.encode()).hexdigest()[:8]
    return (ToolCall(f"call_{number}", function["name"], _arguments(function, prompt)),)


def _arguments(function: dict[str, Any], prompt: str) -> dict[str, Any]:
    parameters = function.get("parameters")
    fields = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(fields, dict):
        return {}
    return {name: _filled(schema, prompt) for name, schema in fields.items()}


def _filled(schema: Any, prompt: str) -> Any:
    if not isinstance(schema, dict):
        return None
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    last_word = (prompt.split() or [""])[-1]
    usual = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    return usual.get(str(schema.get("type")), last_word)
