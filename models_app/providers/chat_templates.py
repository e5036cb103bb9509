"""What a chat template tells of its model: it is rendered, and its output is read.

Here and not among the services because providers describe models, and imports go down
only. `folders.py` reads the templates of a folder's files; the gateway never renders.
Jinja only: Ollama's Go templates are read in `ollama_words.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models_app.reasons import NO_REASON, Reason, because, said
from venom_site.clients.chat_template_child import LONGEST_TEXT
from venom_site.clients.chat_templates import Rendered, render
from venom_site.lib.errors import WireError

LONGEST_TEMPLATE = 256 * 1024  # characters; the longest known has 30,000
MOST_NAMED = 16
Named = list[Any] | dict[str, Any]  # [{"name", "template"}], or by name

# Words that no template prints by itself.
ASKED, SAID, AGAIN, RULE = "askedqz", "saidqz", "againqz", "ruleqz"
TOOL, RESULT = "lookupqz", "resultqz"
_THINKS = re.compile(r"enable_thinking|<think>|reasoning_effort|\.thinking\b")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReading:
    """None where the template could not be asked; `error` says why.

    `takes_system`: a system message comes out again, wherever it is put. `refuses` is
    what the template says to one, in its own words; empty with `takes_system` False
    where it is left out without a word. `roles` are those whose text comes out.
    """

    template: str = ""
    takes_system: bool | None = None
    refuses: str = ""
    must_alternate: bool | None = None
    roles: tuple[str, ...] = ()
    tools: bool | None = None
    thinking: bool | None = None
    error: Reason = NO_REASON


def read_template(
    template: str | Named, *, special: Mapping[str, str] | None = None
) -> TemplateReading:
    """Read a template, or the `default` and `tool_use` ones of several.

    `special` are the tokens it may print (`bos_token`, `eos_token`). Never raises:
    what a stranger wrote badly becomes `error`.
    """
    chosen, with_tools = _chosen(template)
    if not chosen:
        return TemplateReading(error=because("template_absent"))
    reading = _read(chosen, special or {})
    if with_tools and with_tools != chosen:
        tooled = _read(with_tools, special or {})
        roles = reading.roles + tuple(r for r in tooled.roles if r == "tool")
        reading = replace(
            reading, tools=tooled.tools, roles=tuple(dict.fromkeys(roles))
        )
    return reading


def _chosen(template: Any) -> tuple[str, str]:
    """The template of plain questions and the one of questions with tools; the same
    choice as transformers makes (`get_chat_template`)."""
    if isinstance(template, str):
        return template, template
    named = dict(_named(template))
    plain = named.get("default", "")
    return plain, named.get("tool_use", plain)


def _named(template: Any) -> Iterator[tuple[str, str]]:
    if isinstance(template, Mapping):
        pairs = list(template.items())
    elif isinstance(template, list):
        entries = [each for each in template if isinstance(each, Mapping)]
        pairs = [(each.get("name"), each.get("template")) for each in entries]
    else:
        pairs = []
    for name, text in pairs[:MOST_NAMED]:
        if isinstance(name, str) and isinstance(text, str):
            yield name, text


def _read(template: str, special: Mapping[str, str]) -> TemplateReading:
    if len(template) > LONGEST_TEMPLATE:
        return TemplateReading(error=because("template_long", most=LONGEST_TEMPLATE))
    asked = list(_conversations())
    tokens = {"bos_token": "", "eos_token": "", **special}
    plain = [tokens | each for each in asked]
    in_parts = [each | {"messages": _parted(each["messages"])} for each in plain]
    try:
        answers = render(template, [*plain, *in_parts])
    except WireError as error:
        return TemplateReading(template=template, error=said(str(error)))
    reading = _judged(template, answers[: len(asked)])
    if reading.roles:
        return reading
    # Templates of models that see pictures often read nothing but lists of parts.
    other = _judged(template, answers[len(asked) :])
    return other if other.roles else reading


def _conversations() -> Iterator[dict[str, Any]]:
    """In the order in which `_judged` takes the answers."""
    ask = _message("user", ASKED)
    reply, again = _message("assistant", SAID), _message("user", AGAIN)
    yield _case([ask])
    yield _case([_message("system", RULE), ask])
    yield _case([ask, reply, again])
    yield _case([ask, again])
    yield _case([ask], tools=[_TOOL])
    called = _message("assistant", "") | {"tool_calls": [_CALL]}
    yield _case([ask, called, _message("tool", RESULT) | _ANSWER], tools=[_TOOL])
    yield _case([ask], enable_thinking=True, thinking=True)
    yield _case([ask], enable_thinking=False, thinking=False)


# Mistral's templates want ids of nine letters and digits.
_CALL_ID = "a1b2c3d4e"
_CALL = {
    "id": _CALL_ID,
    "type": "function",
    "function": {"name": TOOL, "arguments": {"place": "here"}},
}
_ANSWER = {"tool_call_id": _CALL_ID, "name": TOOL}
_TOOL = {
    "type": "function",
    "function": {
        "name": TOOL,
        "description": "Look something up.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string", "description": "Where."}},
            "required": ["place"],
        },
    },
}


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _case(messages: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    return {"messages": messages, "add_generation_prompt": True, **given}


def _parted(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        each | {"content": [{"type": "text", "text": each["content"]}]}
        for each in messages
    ]


def _judged(template: str, answers: Sequence[Rendered]) -> TemplateReading:
    ask, system, turns, double, tools, called, thinks, quiet = answers
    if not ask.is_text or ASKED not in ask.text:
        return TemplateReading(template=template, error=_why(ask))
    has_tools = _known(tools, TOOL)
    takes = {
        "system": _known(system, RULE),
        "user": True,
        "assistant": _known(turns, SAID),
        "tool": has_tools and _known(called, RESULT),
    }
    return TemplateReading(
        template=template,
        takes_system=takes["system"],
        refuses=system.refused,
        must_alternate=bool(double.refused) if turns.is_text else None,
        roles=tuple(role for role, may in takes.items() if may),
        tools=has_tools,
        thinking=_thinks(template, thinks, quiet),
    )


def _why(answer: Rendered) -> Reason:
    """Why a plain question does not come out."""
    if answer.limit:
        return because(f"template_{answer.limit}", most=LONGEST_TEXT)
    words = (answer.error or answer.refused).rstrip(".")
    return said(f"{words}.") if words else because("template_leaves_out")


def _known(answer: Rendered, word: str) -> bool | None:
    """Whether the word came out; None where our limits ended it, not the template.

    A template that breaks on a message, without a refusal of its own, is as little use
    to who sends one: its server answers 400.
    """
    return None if answer.was_ended else answer.is_text and word in answer.text


def _thinks(template: str, thinks: Rendered, quiet: Rendered) -> bool:
    """A switch that changes something, or the marks that thoughts are set in."""
    if thinks.is_text and quiet.is_text and thinks.text != quiet.text:
        return True
    return _THINKS.search(_COMMENT.sub("", template)) is not None
