"""Polish and German say everything that English says, and what is committed is that.

The `.mo` files are committed because `msgfmt` is not on every machine; here the `.po`
are compiled in memory and compared. After a change of any text: `make messages`.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.utils import translation
from django.utils.translation import ngettext

HOME = Path(__file__).resolve().parents[2]
SOURCES = ("venom_site", "models_app", "runtime_app", "history_app", "templates")
LANGUAGES = ("pl", "de")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\w*\}|</?\w+>")


def catalogue(language):
    return polib.pofile(HOME / f"locale/{language}/LC_MESSAGES/django.po")


def compiled(language):
    return polib.mofile(HOME / f"locale/{language}/LC_MESSAGES/django.mo")


def meanings(entries):
    return {
        (entry.msgctxt, entry.msgid, entry.msgid_plural): entry.msgstr_plural
        or entry.msgstr
        for entry in entries
    }


def said(entry):
    """Every translation of an entry: one, or one for each plural form."""
    return list(entry.msgstr_plural.values()) or [entry.msgstr]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_source(language):
    source, built = catalogue(language), compiled(language)
    assert meanings(source) == meanings(built), "run `make messages`"
    assert source.metadata["Plural-Forms"] == built.metadata["Plural-Forms"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing_doubtful_or_left_over(language):
    entries = catalogue(language)
    doubtful = [entry.msgid for entry in entries if entry.fuzzy]
    missing = [entry.msgid for entry in entries if not all(said(entry))]
    left_over = [entry.msgid for entry in entries.obsolete_entries()]
    assert (doubtful, missing, left_over) == ([], [], [])


def placeholders(text):
    return sorted(PLACEHOLDER.findall(text))


def originals(entry):
    """One thing may be said without its number."""
    return [placeholders(text) for text in (entry.msgid, entry.msgid_plural) if text]


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_hold_the_placeholders_and_tags_of_the_original(language):
    wrong = [
        (entry.msgid, text)
        for entry in catalogue(language)
        for text in said(entry)
        if placeholders(text) not in originals(entry)
    ]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_shouts_and_each_ends_as_the_original_does(language):
    def end(text):
        found = re.search(r"[.:?…]$", text.rstrip("”“»"))
        return found[0] if found else ""

    wrong = [
        (entry.msgid, text)
        for entry in catalogue(language)
        for text in said(entry)
        if "!" in text or (end(entry.msgid) != end(text) and end(entry.msgid))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("language", "number", "text"),
    [
        ("pl", 1, "1 dzień temu"),
        ("pl", 3, "3 dni temu"),
        ("pl", 12, "12 dni temu"),
        ("de", 1, "vor 1 Tag"),
        ("de", 22, "vor 22 Tagen"),
    ],
)
def test_numbers_bring_their_own_plural(language, number, text):
    with translation.override(language):
        words = ngettext("%(count)s d ago", "%(count)s d ago", number)
        assert words % {"count": number} == text


@pytest.mark.parametrize(
    ("language", "word"), [("pl", "Zaloguj"), ("de", "Anmelden"), ("en", "Sign in")]
)
def test_a_page_speaks_the_language_of_the_browser(client, db, language, word):
    page = client.get("/sign-in/", headers={"accept-language": language})
    assert word in page.content.decode()
    assert f'lang="{language}"' in page.content.decode()


def renamed_markers(path):
    """gettext functions imported under a name that xgettext does not know."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in {
            "django.utils.translation"
        }:
            yield from (n.asname for n in node.names if n.asname not in {None, "_"})


def test_every_text_is_marked_with_a_name_that_the_collector_knows():
    found = {
        f"{path.relative_to(HOME)}: {name}"
        for folder in SOURCES
        for path in (HOME / folder).rglob("*.py")
        for name in renamed_markers(path)
    }
    assert found == set()


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("xgettext") and shutil.which("msguniq")),
    reason="xgettext is not installed (package gettext), so no texts can be collected",
)
def test_every_text_of_the_sources_is_in_the_catalogues(tmp_path):
    for folder in SOURCES:
        shutil.copytree(
            HOME / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (tmp_path / "locale").mkdir()
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "-l", "pl", "-v", "0"],
        cwd=tmp_path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "venom_site.settings"},
        check=True,
        timeout=60,
    )
    marked = polib.pofile(tmp_path / "locale/pl/LC_MESSAGES/django.po")
    texts = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in marked}
    for language in LANGUAGES:
        assert texts == set(meanings(catalogue(language))), "run `make messages`"
