"""What sources of models refuse, as `reasons.py` says it: a sentence for each code.

Each names the next step. `said` is what the vendor said, in brackets or empty; `words`
is what our own downloader or client said of a file.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

HUB = {
    "source_offline": _("Nothing answers at %(source)s."),
    "source_slow": _("%(source)s did not answer in time."),
    "source_busy": _("%(source)s asks us to wait %(seconds)s s."),
    "hub_unreadable": _("%(words)s A newer version of Venom may read it."),
    "hub_token": _(
        "%(source)s does not accept our token. Put a token that may read %(name)s into "
        "HF_TOKEN, or empty it."
    ),
    "hub_disabled": _(
        "%(source)s has switched %(name)s off. Its page says why: %(page)s. Choose "
        "another model."
    ),
    "no_revision": _(
        "%(name)s has no such revision. %(page)s/tree/main lists its branches."
    ),
    "file_gone": _("A file of %(name)s is gone since it was listed. Install it again."),
    "path_leaves_folder": _(
        "%(name)s holds a file whose path leaves its folder. Nothing was written. "
        "Choose another model."
    ),
    "hash_missing": _(
        "%(source)s names no hash for %(file)s of %(name)s: nobody could prove its "
        "bytes. Choose another model."
    ),
    "missing_or_hidden": _(
        "There is no %(name)s, or it is private and HF_TOKEN may not see it. Check the "
        "name at %(page)s."
    ),
    "missing_or_private": _(
        "There is no %(name)s, or it is private. Check the name at %(page)s, or add a "
        "token (HF_TOKEN)."
    ),
    "gated_without_token": _(
        "%(name)s is given only to those who accepted its licence. Add a token "
        "(HF_TOKEN), accept the licence at %(page)s, then check again."
    ),
    "gated_without_licence": _(
        "%(name)s is given only to those who accepted its licence, and the owner of "
        "our token has not. Accept the licence at %(page)s, then check again."
    ),
}
DOWNLOADS = {
    "download_missing": _(
        "%(words)s What has come is kept. Look at its page, then press Retry."
    ),
    "download_changed": _("%(words)s Discard what has come and install it again."),
    "download_wrong": _(
        "%(words)s Press Retry; if it stays so, choose another source."
    ),
    "download_disk_full": _(
        "%(words)s What has come is kept. Free some space, then press Retry."
    ),
    "download_read_only": _("%(words)s Make the folder writable, then press Retry."),
    "download_unsafe": _("%(words)s Nothing of it was written. Choose another model."),
}
OLLAMA = {
    "ollama_unknown_call": _(
        "What answers at %(endpoint)s does not know this call: update Ollama there, or "
        "check the address. %(said)s"
    ),
    "ollama_disk_full": _(
        "The disk that holds the models of Ollama at %(endpoint)s is full. What came "
        "so far is kept: free space there and try again. %(said)s"
    ),
    "ollama_mismatch": _(
        "What Ollama at %(endpoint)s received of %(name)s is not what was promised, "
        "and was thrown away. Try again. %(said)s"
    ),
    "ollama_unfit": _(
        "Ollama at %(endpoint)s cannot run %(name)s: choose another variant or update "
        "Ollama. %(said)s"
    ),
    "ollama_denied": _(
        "Ollama at %(endpoint)s has no access to %(name)s: it is private, or needs a "
        "sign-in there. %(said)s"
    ),
    "ollama_missing": _(
        "Ollama at %(endpoint)s finds no model %(name)s. Check its name and its tag. "
        "%(said)s"
    ),
    "ollama_failed": _("Ollama at %(endpoint)s failed with %(name)s. %(said)s"),
    "ollama_refused": _("Ollama at %(endpoint)s refused. %(said)s"),
    "ollama_away": _(
        "Ollama at %(endpoint)s does not answer as it should. Check that it runs. "
        "%(said)s"
    ),
    "ollama_broke_off": _(
        "Ollama at %(endpoint)s did not get to the end with %(name)s. Trying again "
        "goes on where it ended. %(said)s"
    ),
    "registry_missing": _("%(source)s has no model %(name)s. Check its name and tag."),
    "registry_denied": _("%(source)s does not give %(name)s to everybody."),
    "registry_away": _(
        "The size of %(name)s could not be asked for at %(source)s. %(said)s"
    ),
}
REFUSALS = HUB | DOWNLOADS | OLLAMA
