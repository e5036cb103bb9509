"""TriggerPhrase: a message that a template answers."""

from __future__ import annotations

import re
import unicodedata

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime_app.choices import Template
from venom_site.lib.ids import uuid7

LONGEST_PHRASE = 120
_WORD = re.compile(r"\w+")


def phrase_of(message: str) -> str:
    """The message as phrases are compared: case and punctuation aside."""
    words = _WORD.findall(unicodedata.normalize("NFC", message).casefold())
    return " ".join(words)


class TriggerPhrase(models.Model):
    """A whole message and the template that answers it, in the phrase's language."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    phrase = models.CharField(_("phrase"), max_length=LONGEST_PHRASE)
    template = models.CharField(_("answer"), max_length=20, choices=Template)
    language = models.CharField(_("language"), max_length=5, choices=settings.LANGUAGES)

    class Meta:
        verbose_name = _("trigger phrase")
        verbose_name_plural = _("trigger phrases")
        ordering = ("template", "language", "phrase")
        constraints = [
            models.UniqueConstraint(fields=("phrase",), name="trigger_phrase_once")
        ]

    def __str__(self) -> str:
        return self.phrase

    def clean(self) -> None:
        self.phrase = phrase_of(self.phrase)
