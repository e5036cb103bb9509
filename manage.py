#!/usr/bin/env python3
"""Venom's one door: `up` and `down` for one machine, everything else is Django's.

Plain standard library until the pinned packages are there: `bootstrap` finds or makes
the interpreter that has them and starts this file once more in it.
"""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts us may have less
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit("Venom needs Python 3.11 or newer; this is Python " + found + ".")
    from venom_site.embedded import bootstrap

    bootstrap.ensure_packages(FOLDER)
    if sys.argv[1:2] in (["up"], ["down"]):
        from venom_site.embedded import up

        return up.main(sys.argv[1:], FOLDER)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
