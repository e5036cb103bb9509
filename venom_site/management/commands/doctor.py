"""`manage.py doctor`: one line per part, exit 1 if something is broken."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from venom_site.diagnosis import Finding, connect_plainly
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "Look at every part of this installation and say what to do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        from venom_site.doctor import LOOKS

        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument(
            "--only",
            action="append",
            choices=[name for name, _look in LOOKS],
            default=[],
            metavar="NAME",
            help="Look at this part alone; may be given several times.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from venom_site.doctor import look_everywhere

        connect_plainly(lock_seconds=5)
        findings = []
        for finding in look_everywhere(options["only"]):
            findings.append(finding)
            if not options["json"]:
                self.stdout.write(_line(finding))
        if options["json"]:
            self.stdout.write(_as_json(findings))
        if _is_broken(findings):
            sys.exit(1)


def _line(finding: Finding) -> str:
    remedy = f"  → {finding.remedy}" if finding.remedy else ""
    return f"{finding.level:<4}  {finding.name:<14}  {finding.sentence}{remedy}"


def _as_json(findings: list[Finding]) -> str:
    whole = {
        "success": not _is_broken(findings),
        "checks": [finding.as_dict() for finding in findings],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2)


def _is_broken(findings: list[Finding]) -> bool:
    return any(finding.level == "bad" for finding in findings)
