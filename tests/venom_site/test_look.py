"""What the static look promises: its weight, its icons and what the policy forbids."""

import gzip
import re
from pathlib import Path

import pytest
from django.template import Context, Engine

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# Each would be refused by the content security policy, or ignored by htmx without eval.
FORBIDDEN = {
    "inline style": r"\sstyle=|<style",
    "inline script": r"<script(?![^>]*\ssrc=)",
    "inline handler": r"\son[a-z]+=",
    "htmx evaluation": r"hx-on|hx-vals=.js:|hx-trigger=\"[^\"]*\[",
    "foreign host": r"(?:src|href)=\"https?://",
}


def weight(name):
    return len(gzip.compress((ROOT / "static" / name).read_bytes()))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("css/ui.css", 8_500),
        ("js/ui.js", 4_096),
        ("icons.svg", 4_000),
        ("css/admin.css", 3_000),
    ],
)
def test_a_static_file_stays_light(name, limit):
    assert weight(name) <= limit


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_template_holds_nothing_the_policy_forbids(template):
    text = template.read_text()
    assert [name for name, shape in FORBIDDEN.items() if re.search(shape, text)] == []


def test_every_icon_a_template_names_is_in_the_sprite():
    sprite = set(
        re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/icons.svg").read_text())
    )
    text = "".join(path.read_text() for path in TEMPLATES)
    named = set(re.findall(r'{% icon "([\w-]+)" %}|symbol="([\w-]+)"', text))
    assert {name for pair in named for name in pair if name} <= sprite


@pytest.fixture
def engine():
    return Engine(
        dirs=[str(ROOT / "templates")],
        libraries={
            "atoms": "venom_site.templatetags.atoms",
            "charts": "venom_site.templatetags.charts",
            "django_htmx": "django_htmx.templatetags.django_htmx",
            "i18n": "django.templatetags.i18n",
            "fit_atoms": "models_app.templatetags.fit_atoms",
            "model_atoms": "models_app.templatetags.model_atoms",
            "model_rows": "models_app.templatetags.model_rows",
            "runtime_parts": "runtime_app.templatetags.runtime_parts",
            "static": "django.templatetags.static",
        },
    )


def test_every_template_parses_and_includes_only_what_exists(engine):
    for path in TEMPLATES:
        engine.get_template(str(path.relative_to(ROOT / "templates")))
        for name in re.findall(r'{% include "([^"]+)"', path.read_text()):
            assert (ROOT / "templates" / name).is_file(), f"{path.name} includes {name}"


@pytest.mark.parametrize("code", ["400", "403", "404", "500", "503", "csrf"])
def test_an_error_page_needs_no_context_at_all(engine, code):
    page = engine.get_template(f"errors/{code}.html").render(Context())
    assert page.count("<h1>") == 1
    assert "Venom</title>" in page


def test_an_error_page_names_the_request(engine):
    page = engine.get_template("errors/500.html").render(
        Context({"request_id": "0192f0c1"})
    )
    assert "0192f0c1" in page


def test_the_script_holds_no_words():
    code = re.sub(
        r"/\*.*?\*/|//[^\n]*", "", (ROOT / "static/js/ui.js").read_text(), flags=re.S
    )
    said = [
        text
        for text in re.findall(r'"([^"\n]*)"', code)
        if re.match(r"[A-Z][a-z]+ [a-z]+", text)
    ]
    assert said == []
