"""A checkout with the real supervisor around a tiny application, for these tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.embedded.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

ASGI = """
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b"ok"
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

CELERY = """
import os
from celery import Celery
from venom_site.embedded import broker

broker.register()
app = Celery("venom_site", broker="files://")
app.conf.broker_transport_options = {
    "folder": os.path.join(os.environ["VENOM_DATA_DIR"], "run", "broker")
}
app.conf.task_ignore_result = True
app.conf.task_default_queue = "default"
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
app.conf.beat_schedule = {"note": {"task": "note", "schedule": 0.5}}

@app.task(name="note")
def note():
    with open(os.path.join(os.environ["VENOM_DATA_DIR"], "noted"), "a") as notes:
        notes.write("x")
"""

SETTINGS = """
SECRET_KEY = "stand-in"
INSTALLED_APPS = ["venom_site"]
"""

PREPARE = """
import os
from django.core.management.base import BaseCommand, CommandError

class Command(BaseCommand):
    def handle(self, *args, **options):
        if os.environ.get("BREAK_PREPARE"):
            raise CommandError("The database is not there.")
        self.stdout.write("Sign in: link")
"""

CREATE_API_KEY = """
import sys
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("words", nargs="*")
        parser.add_argument("--scope", action="append")

    def handle(self, *args, **options):
        self.stdout.write(f"Key with {options['scope']}")
"""

NEIGHBOURS = """
import json, pathlib, signal, sys
path = pathlib.Path(sys.argv[sys.argv.index("--ports-file") + 1])
path.with_suffix(".new").write_text(json.dumps({"OLLAMA_BASE_URL": "http://x:1"}))
path.with_suffix(".new").replace(path)
signal.pause()
"""


def make_checkout(folder: Path) -> Path:
    """A folder with manage.py, the supervisor and the tiny application."""
    site = folder / "venom_site"
    shutil.copytree(ROOT / "venom_site" / "embedded", site / "embedded")
    shutil.copy(ROOT / "manage.py", folder)
    shutil.copy(ROOT / "venom_site" / "__init__.py", site)
    (site / "asgi.py").write_text(ASGI)
    (site / "celery.py").write_text(CELERY)
    (site / "settings.py").write_text(SETTINGS)
    commands = site / "management" / "commands"
    commands.mkdir(parents=True)
    (commands / "prepare.py").write_text(PREPARE)
    (commands / "create_api_key.py").write_text(CREATE_API_KEY)
    fakes = folder / "tests" / "fakes"
    fakes.mkdir(parents=True)
    (fakes / "demo.py").write_text(NEIGHBOURS)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    """Ours without what would choose another place."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VENOM_")}
    return {**kept, "VENOM_SKIP_BOOTSTRAP": "1", **more}


class Running:
    """A process whose output lines can be waited for; killed at the end if need be."""

    def __init__(
        self, argv, *, cwd: Path, env: dict[str, str], log: Path | None = None
    ) -> None:
        self.log = log or cwd / f"output-{free_port()}"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 20) -> None:
        wait_until(
            lambda: text in self.output or self.process.poll() is not None,
            seconds=seconds,
        )
        assert text in self.output, self.output


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def living(pattern: str) -> dict[int, str]:
    """Process id → command line of what runs with the pattern in its environment."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environ = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if pattern.encode() in environ and state != "Z":
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = line.decode()
        except OSError:
            continue
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
