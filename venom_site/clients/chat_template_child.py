"""The program that renders a stranger's chat template, in a process of its own.

Started by `chat_templates.py` as `python -I chat_template_child.py`; imports nothing
of ours. Reads `{"template", "cases"}` from its input and writes one line of JSON for
each case, so that what was rendered before an end by force still counts.

The environment is the one of transformers (`utils/chat_template_utils.py`, 4.57 and
5.x). Jinja's sandbox keeps a template from Python, but not from time and memory:
`9**9**9` and `'a' * 10**10` run inside one instruction that no thread can end, at
compile time even. Hence the limits of the kernel, set before the template is read.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_SECONDS = 4  # a real one with all its cases takes 0.05 s
MEMORY_BYTES = 256 * 2**20  # the interpreter with jinja2 takes 27 MB of it
ANSWER_BYTES = 4 * 2**20
LONGEST_TEXT = 100_000  # characters of one rendered conversation
LONGEST_WORDS = 300


class Refused(jinja2.TemplateError):
    """The template itself called `raise_exception`."""


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks what a model said, for training."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        said = self.call_method("_said")
        return nodes.CallBlock(said, [], [], body).set_lineno(line)

    @staticmethod
    def _said(caller: Callable[[], str]) -> str:
        return caller()


# Has whatever Python and jinja2 import late imported while files can still be opened.
WARM_UP = (
    "{% for a in [1] %}{{ {'ä': a}|tojson }}{{ strftime_now('%d %B') }}{% endfor %}"
    "{{ 'x\\n'|trim|upper }}{{ lipsum(n=1) }}{{ raise_exception('enough') }}"
)


def main() -> None:
    list(_answers(WARM_UP, [{}]))
    _limit()
    wish = json.load(sys.stdin)
    for answer in _answers(wish["template"], wish["cases"]):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _limit() -> None:
    """What is imported is imported: from here on no file and no connection opens."""
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, ANSWER_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(kind, (most, most))


def _answers(source: str, cases: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    try:
        template = _environment().from_string(source)
    except Exception as error:  # noqa: BLE001 - whatever a stranger wrote
        yield from [_failed(error)] * len(cases)
    else:
        yield from (_rendered(template, case) for case in cases)


def _rendered(template: jinja2.Template, case: Mapping[str, Any]) -> dict[str, str]:
    text = ""
    try:
        for piece in template.generate(**case):
            text += piece
            if len(text) > LONGEST_TEXT:
                return {"limit": "writes"}
    except Refused as error:
        return {"refused": _words(error)}
    except Exception as error:  # noqa: BLE001 - whatever a stranger wrote
        return _failed(error)
    return {"text": text}


def _failed(error: Exception) -> dict[str, str]:
    """A limit by its code; else what jinja2 says, which only it can word."""
    if isinstance(error, MemoryError):
        return {"limit": "memory"}
    if isinstance(error, RecursionError):
        return {"limit": "deep"}
    return {"error": _words(error)}


def _words(error: Exception) -> str:
    said = getattr(error, "message", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:LONGEST_WORDS]


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _raise(words: object) -> None:
    raise Refused(str(words))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - as transformers gives it


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


if __name__ == "__main__":
    main()
