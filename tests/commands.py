"""Django's commands on the clean test environment: `python -m tests.commands check`."""

from __future__ import annotations

import os
import sys

from tests import environment

assert environment.folder
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[1:]])
