"""What an install would meet, told before anybody presses: findings, no refusals.

The same questions that `install.py` asks before it writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import ProviderName
from models_app.models import InstalledModel, Operation
from models_app.providers.base import GatedModel, ProviderAway, ProviderFailed
from models_app.services.install_wish import (
    Measured,
    Wish,
    in_its_own_letters,
    lacks,
    local_only,
    measure,
    read_revision,
    read_wish,
    remedy,
    room_lacking,
    runs_in_a_cloud,
)
from models_app.services.room import proposal_for
from models_app.services.storage import Storage
from venom_site.lib.errors import VenomError
from venom_site.lib.units import size_text

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the check; `level` is ok, warn or bad. `url` is where the remedy is
    done, for people."""

    name: str
    level: str
    message: str
    remedy: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCheck:
    """What an install would meet. `size_bytes` is None where nobody says it, `refusal`
    where the source does not refuse."""

    name: str
    provider: str
    runtime: str
    size_bytes: int | None
    digest: str
    revision: str  # the commit that would be fetched, where there are commits
    findings: list[Finding]
    refusal: VenomError | None
    installed: InstalledModel | None
    running: Operation | None
    can_start: bool
    needs_confirmation: bool
    proposal: list[InstalledModel]  # what could leave so that it fits

    @property
    def proposal_bytes(self) -> int:
        return sum(model.size_bytes or 0 for model in self.proposal)


def check_install(provider: str, name: str, revision: str = "") -> InstallCheck:
    """The same questions as findings; writes nothing, raises only for bad names."""
    wish = read_wish(provider, name)
    measured = measure(wish, read_revision(wish, revision))
    wish = in_its_own_letters(wish, measured.manifest)
    installed, holder = wish.installed, wish.holder
    findings = [
        *_about_source(wish, measured),
        *_about_server(wish),
        *_about_room(wish, measured, holder),
        *_about_model(wish, measured, installed, holder),
    ]
    is_bad = any(finding.level == "bad" for finding in findings)
    return InstallCheck(
        name=wish.name,
        provider=wish.provider,
        runtime=wish.runtime,
        size_bytes=measured.manifest.size_bytes if measured.manifest else None,
        digest=measured.manifest.digest if measured.manifest else "",
        revision=measured.manifest.revision if measured.manifest else "",
        findings=findings,
        refusal=measured.refusal,
        installed=installed,
        running=holder,
        can_start=not is_bad and holder is None,
        needs_confirmation=measured.needs_confirmation,
        proposal=_proposal(wish, measured, holder),
    )


def _proposal(
    wish: Wish, measured: Measured, holder: Operation | None
) -> list[InstalledModel]:
    if measured.refusal is not None:
        return []
    lacking = room_lacking(wish, measured, holder)
    return proposal_for(wish.node, lacking.missing_bytes) if lacking else []


def _about_source(wish: Wish, measured: Measured) -> list[Finding]:
    manifest = measured.manifest
    if measured.refusal is not None:
        return [_refused(wish, measured.refusal)]
    if manifest is None:
        size = size_text(measured.needed_bytes)
        reserved = _("%(size)s are reserved for it.") % {"size": size}
        return [_finding("source", WARN, measured.trouble, reserved)]
    if manifest.complaint:
        return [_finding("source", BAD, str(manifest.complaint), _("Choose another."))]
    said = _("%(source)s has “%(name)s”: %(size)s.") % {
        "source": wish.adapter.source,
        "name": wish.name,
        "size": size_text(manifest.size_bytes),
    }
    remarks = [str(manifest.remark)] if manifest.remark else []
    return [
        _finding("source", OK, said),
        *(_finding("weights", WARN, remark) for remark in remarks),
    ]


def _refused(wish: Wish, refusal: VenomError) -> Finding:
    """A gate in words of our own: one sentence, one step, and the page where it is
    done; any other refusal says itself what to do."""
    if not isinstance(refusal, GatedModel):
        return _finding("source", BAD, str(refusal))
    if refusal.extras.get("missing") == "token":
        step = _("Add a token (HF_TOKEN), accept the licence, then check again.")
    else:
        step = _("Accept the licence with the account of HF_TOKEN, then check again.")
    return Finding(
        name="source",
        level=BAD,
        message=_("“%(name)s” is given only to those who accepted its licence.")
        % {"name": wish.name},
        remedy=step,
        url=str(refusal.extras.get("url", "")),
    )


def _about_server(wish: Wish) -> list[Finding]:
    if wish.adapter.is_own_store:  # nobody else has to answer
        return []
    server = {"server": ProviderName(wish.provider).label}
    try:
        wish.adapter.list_installed()
    except ProviderAway:
        away = _("%(server)s does not answer now.") % server
        waits = _("Start it: the install waits ten minutes for it, then it fails.")
        return [_finding("server", WARN, away, waits)]
    except ProviderFailed:
        odd = _("%(server)s answers, but not as it should.") % server
        return [_finding("server", WARN, odd, _("Look at its page under Runtimes."))]
    return [_finding("server", OK, _("%(server)s answers.") % server)]


def _about_room(
    wish: Wish, measured: Measured, holder: Operation | None
) -> list[Finding]:
    storage = wish.storage(measured.manifest, without=holder)
    lacking = room_lacking(wish, measured, holder)
    findings = [
        _finding(lacking.limit, BAD, lacks(wish, lacking), remedy(lacking))
        for lacking in filter(None, [lacking])
    ]
    if lacking is None:
        findings.append(_finding("quota", OK, _quota_text(storage)))
    if lacking is None and storage.disk_free_bytes is not None:
        free = {"free": size_text(storage.disk_free_bytes)}
        findings.append(_finding("disk", OK, _("The disk has %(free)s free.") % free))
    if measured.needs_confirmation:
        size = {"size": size_text(measured.needed_bytes)}
        large = _("%(size)s is a lot.") % size
        findings.append(_finding("size", WARN, large, _("Confirm the size to start.")))
    return findings


def _quota_text(storage: Storage) -> str:
    return _("%(free)s are left under the limit of %(limit)s.") % {
        "free": size_text(storage.free_bytes),
        "limit": size_text(storage.limit_bytes),
    }


def _about_model(
    wish: Wish,
    measured: Measured,
    installed: InstalledModel | None,
    holder: Operation | None,
) -> list[Finding]:
    findings = []
    if settings.ENV.OLLAMA_NO_CLOUD and runs_in_a_cloud(wish.name):
        findings.append(_finding("policy", BAD, local_only(wish)))
    if installed is not None:
        findings.append(_finding("installed", OK, _about_installed(wish, measured)))
    if holder is not None:
        busy = _("“%(title)s” is under way.") % {"title": holder.title}
        findings.append(_finding("operation", WARN, busy))
    return findings


def _about_installed(wish: Wish, measured: Measured) -> str:
    if not wish.has_revisions:
        return _("It is installed; a newer version of it would be fetched.")
    if measured.manifest is not None and wish.holds(measured.manifest):
        return _("Exactly this revision is installed; nothing would be fetched.")
    return _("Another revision of it is installed and stays: both lie side by side.")


def _finding(name: str, level: str, message: str, remedy: str = "") -> Finding:
    return Finding(name=name, level=level, message=message, remedy=remedy)
