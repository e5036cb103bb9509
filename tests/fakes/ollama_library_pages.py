"""The pages of the practice library, in the looks that ollama.com has had.

Facts sheet, section 11, and saved pages of 2025. `OLD` marks its parts with `x-test-*`
and keeps a readme's Markdown in a hidden field; `NOW` (August 2026) does neither;
`CHANGED` is a redesign that nobody has seen yet: other elements, no cards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from tests.fakes.ollama_library_texts import (
    Story,
    long_date,
    short_context,
    short_count,
    short_size,
)
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.ollama_models import PracticeModel

INDIGO = "bg-indigo-50 text-indigo-600"
CYAN = "bg-cyan-50 text-cyan-600"
BLUE = "bg-[#ddf4ff] text-blue-600"
SVG = '<svg class="h-4 w-4" viewBox="0 0 24 24"><path d="M3 16.5v2.25Z"></path></svg>'
SHOWN_TAGS = 5  # on a model's own page


class Look(StrEnum):
    NOW = "now"
    OLD = "old"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The models that share a name before the colon."""

    name: str
    models: tuple[PracticeModel, ...]
    story: Story

    @property
    def path(self) -> str:
        return f"/{self.name}" if "/" in self.name else f"/library/{self.name}"

    @property
    def local(self) -> list[PracticeModel]:
        return [model for model in self.models if not model.remote_host]

    @property
    def sizes(self) -> list[str]:
        """`270m`, `4b`: the tags that are sizes, smallest first."""
        by_size = sorted(self.local, key=lambda model: model.parameter_count)
        tags = [tag_of(model) for model in by_size]
        return [tag for tag in tags if tag[0].isdigit() and "-" not in tag]

    @property
    def capabilities(self) -> list[str]:
        found = dict.fromkeys(c for model in self.models for c in model.capabilities)
        return [word for word in found if word != "completion"]

    @property
    def has_cloud(self) -> bool:
        return len(self.local) < len(self.models)


def tag_of(model: PracticeModel) -> str:
    return model.name.rpartition(":")[2]


def frame(title: str, description: str, inner: str) -> str:
    """A whole page: the site's header with its search field, and its footer."""
    return f"""\
<!doctype html>
<html class="h-full overflow-y-scroll">
  <head>
    <title>{escape(title)}</title>
    <meta charset="utf-8" />
    <meta name="description" content="{escape(description)}"/>
    <script>const card = "<li><h2>no</h2><a href='/library/none'></a></li>";</script>
  </head>
  <body class="antialiased">
    <header class="sticky top-0"><nav class="flex">
      <a href="/" class="z-50"><img src="/public/ollama.png" alt="Ollama" /></a>
      <a href="/search">Models</a><a href="https://docs.ollama.com">Docs</a>
      <form action="/search" autocomplete="off"><input id="search" hx-get="/search"
        hx-trigger="keyup changed delay:100ms, focus" name="q" /></form>
      <a href="/signin">Sign in</a><a href="/download">Download</a></nav></header>
    <main class="flex-grow">{inner}</main>
    <footer><ul><li class="mx-2"><a href="/blog">Blog</a></li>
      <li class="mx-2"><a href="/download">Download</a></li></ul>© 2026</footer>
    <span class="hidden" id="end_of_template"></span>
  </body>
</html>
"""


def list_page(look: Look, families: Sequence[Family], more: str = "") -> str:
    """A page of cards; `more` is the sentinel that loads the next one."""
    inner = cards(look, families) + more if families else no_hits()
    listed = (
        f'<div id="repo"><ul role="list" class="grid grid-cols-1">{inner}</ul></div>'
    )
    return frame("library", "Browse Ollama's library of models.", listed)


def no_hits() -> str:
    return '<p class="text-neutral-500">No models</p>'


def sentinel(query: str) -> str:
    return (
        f'<li hx-get="/search?{escape(query)}" hx-trigger="revealed" '
        'hx-swap="outerHTML" hx-target="this"></li>'
    )


def cards(look: Look, families: Sequence[Family]) -> str:
    return "\n".join(_card(look, family) for family in families)


def _mark(look: Look, name: str) -> str:
    """An attribute of the old look; a blank is what is left of it."""
    return f" x-test-{name}" if look is Look.OLD else " "


def _card(look: Look, family: Family) -> str:
    name, text = escape(family.name), escape(family.story.description)
    if look is Look.CHANGED:
        return (
            f'<article class="model-card" data-href="{family.path}">'
            f'<a href="{family.path}"><h3>{name}</h3></a><div>{text}</div></article>'
        )
    marked = _mark(look, "model") if look is Look.OLD else ""
    return f"""\
<li{marked} class="flex items-baseline border-b border-neutral-200 py-6">
 <a href="{family.path}" class="group w-full">
  <div class="flex flex-col mb-1" title="{name}">
   <h2 class="truncate text-xl">
    <span{_mark(look, "search-response-title")}>{name}</span></h2>
   <p class="max-w-lg break-words text-neutral-800 text-md">{text}</p>
  </div>
  <div class="flex flex-col">
   <div class="flex flex-wrap space-x-2">{_badges(look, family)}</div>
   {_stats(look, family, "Pulls")}
  </div>
 </a>
</li>"""


def _badges(look: Look, family: Family) -> str:
    rows = [(word, INDIGO, "capability") for word in family.capabilities]
    rows += [("cloud", CYAN, "")] if family.has_cloud else []
    rows += [(size, BLUE, "size") for size in family.sizes]
    return "\n".join(
        f"<span{_mark(look, mark) if mark else ''} class="
        f'"inline-flex items-center rounded-md {colour} px-2 py-0.5">{word}</span>'
        for word, colour, mark in rows
    )


def _stats(look: Look, family: Family, label: str) -> str:
    story, tags = family.story, len(family.models)
    label_of_tags = "Tag" if tags == 1 else "Tags"
    pulls, count, updated = (
        _mark(look, n) for n in ("pull-count", "tag-count", "updated")
    )
    return f"""\
<p class="my-1 flex space-x-5 text-[13px] font-medium text-neutral-500">
 <span class="flex items-center">{SVG}<span{pulls}>{short_count(story.pulls)}</span>
  <span class="hidden sm:flex">&nbsp;{label}</span></span>
 <span class="flex items-center">{SVG}<span{count}>{tags}</span>
  <span class="hidden sm:flex">&nbsp;{label_of_tags}</span></span>
 <span class="flex items-center" title="{long_date(story.updated)}">{SVG}
  <span class="hidden sm:flex">Updated&nbsp;</span>
  <span{updated}>2 months ago</span></span>
</p>"""


def model_page(look: Look, family: Family, readme_html: str) -> str:
    """The page of one model; `readme_html` is what the site made of the Markdown."""
    if look is Look.CHANGED:
        return frame(family.name, "", f"<h1>{escape(family.name)}</h1>")
    text = escape(family.story.description)
    rows = "\n".join(_short_row(family, model) for model in family.models[:SHOWN_TAGS])
    editor = ""
    if look is Look.OLD:
        markdown = escape(family.story.readme)
        editor = (
            '<div id="editorContainer" class="hidden"><form id="markdownForm">'
            f'<textarea id="editor" name="markdown">\n{markdown}</textarea>'
            "</form></div>"
        )
    title = _mark(look, "model-name")
    inner = f"""\
<span class="text-xl">
 <a{title} href="{family.path}" title="{family.name}">{family.name}</a></span>
{_stats(look, family, "Downloads")}
<h2 id="summary-display"><span id="summary-content">
  {text}
</span></h2>
<div class="flex flex-wrap space-x-2">{_badges(look, family)}</div>
<section class="py-8"><h2>Models</h2><a href="{family.path}/tags">View all &#8594;</a>
 <div class="min-w-full">{rows}</div></section>
<div class="flex flex-1 flex-col py-8" id="readme"><h2>Readme</h2>
 <div id="display" class="prose">{readme_html}</div>{editor}</div>"""
    return frame(family.name, family.story.description, inner)


def _short_row(family: Family, model: PracticeModel) -> str:
    tag, context = tag_of(model), short_context(model.context_length)
    return (
        f'<a href="{family.path}:{tag}" class="sm:hidden group">'
        f"<p>{family.name}:{tag}</p><p>{_size(model)} · {context} context window · "
        f"{_input(model)} · 1 month ago</p></a>"
    )


def _size(model: PracticeModel) -> str:
    return "High Usage" if model.remote_host else short_size(model.size_bytes)


def _input(model: PracticeModel) -> str:
    return "Text, Image" if "vision" in model.capabilities else "Text"


def tags_page(look: Look, family: Family) -> str:
    rows = "\n".join(_row(look, family, model) for model in family.models)
    if look is Look.CHANGED:
        rows = "\n".join(f"<div>{tag_of(model)}</div>" for model in family.models)
    inner = f"""\
<span><a{_mark(look, "model-name")} href="{family.path}">{family.name}</a></span>
{_stats(look, family, "Downloads")}
<section class="w-full"><div class="overflow-hidden rounded-lg"><div class="min-w-full">
 <div class="grid bg-neutral-50 px-4 py-3 text-xs grid-cols-12">
  <p class="col-span-6 hidden md:block">Name</p>
  <p class="block col-span-6 md:hidden">{len(family.models)} models</p>
  <p class="col-span-2 hidden md:block">Size</p><p class="col-span-2">Context</p>
  <p class="col-span-2 hidden md:block">Input</p></div>
 {rows}
</div></div></section>"""
    return frame(f"Tags · {family.name}", family.story.description, inner)


def _row(look: Look, family: Family, model: PracticeModel) -> str:
    """A tag for narrow screens and again for wide ones, as the site does."""
    name, link = f"{family.name}:{tag_of(model)}", f"{family.path}:{tag_of(model)}"
    digest, size = manifest_of(model).digest[:12], _size(model)
    context, inputs = short_context(model.context_length), _input(model)
    stray = "</span>" if look is Look.OLD else ""  # closed twice, as it was
    return f"""\
<div class="group px-4 py-3">
 <a href="{link}" class="md:hidden flex flex-col space-y-[6px] group">
  <div class="flex"><div>
   <span class="group-hover:underline">{name}</span>{stray}</div></div>
  <div class="flex flex-col text-[13px]"><span><span class="font-mono">{digest}</span>
   • {size} • {context} context window •
   <span>{inputs} input • 5 months ago</span></span>
  </div></a>
 <div class="hidden md:flex flex-col space-y-[6px]">
  <div class="grid grid-cols-12 items-center">
   <span class="flex items-center col-span-6"><a href="{link}">{name}</a>
    <input class="command hidden" value="{name}" /><button>{SVG}</button></span>
   <p class="col-span-2 text-neutral-500 text-[13px]">{size}</p>
   <p class="col-span-2 text-neutral-500 text-[13px]">{context}</p>
   <div class="col-span-2 text-neutral-500 text-[13px]">{inputs}</div></div>
  <div class="flex text-xs items-center">
   <span class="font-mono text-[11px]">{digest}</span>&nbsp;·&nbsp;5 months ago
  </div></div>
</div>"""
