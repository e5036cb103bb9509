"""The roles of docker-compose.yml as plain processes on this machine.

Command, environment and health check are taken from the file word for word; only what
a container would bring is replaced: host names, ports, mounts and `python`. The
product runs from a copy that holds what the image holds.
"""

import compileall
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet

from tests.embedded.stand_in import free_port, living
from tests.fakes.waiting import wait_until
from tests.full import compose

NOBODY = "127.0.0.1:9"  # no test may reach a real runtime by accident
STOP_SECONDS = 10.0  # what docker gives where the file says nothing


class Role:
    """One service of the file, running."""

    def __init__(self, deployment: "Deployment", name: str) -> None:
        self.name = name
        self.log = deployment.folder / f"{name}-{free_port()}.log"
        self.mark = f"ROLE={deployment.folder}/{name}"
        told = compose.service(name)
        self.grace = compose.seconds(told.get("stop_grace_period", f"{STOP_SECONDS}s"))
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                deployment.words(told["command"]),
                cwd=deployment.app,
                env=deployment.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def stop(self) -> None:
        """SIGTERM as docker sends it: over within the grace, with nothing left."""
        self.process.terminate()
        self.process.wait(self.grace)
        assert living(self.mark) == {}

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Deployment:
    """What `docker compose up` would have made, in one folder."""

    def __init__(self, folder: Path, *, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.app = folder / "app"
        self.ports = {"8000": free_port(), "8010": free_port()}
        self.roles: dict[str, Role] = {}
        self._places = {
            "redis://redis:6379/0": redis_url,
            "/run/secrets": str(folder / "secrets"),
            "/data": str(folder / "data"),
            "/tmp": str(folder / "tmp"),
            "0.0.0.0": "127.0.0.1",
            "host.docker.internal:11434": NOBODY,
            "host.docker.internal:8001": NOBODY,
        } | {written: str(here) for written, here in self.ports.items()}
        names = "|".join(map(re.escape, self._places))
        self._written = re.compile(rf"(?:{names})(?!\w)")  # /data is not /database
        self._fill(database_url)

    def _fill(self, database_url: str) -> None:
        for name in ("app", "secrets", "data", "tmp"):
            (self.folder / name).mkdir()
        for path in compose.image_content():
            if path.is_dir():
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, self.app / path.name, ignore=skipped)
            else:
                shutil.copy(path, self.app)
        compileall.compile_dir(self.app, quiet=2)
        for name, content in {
            "database_url": database_url,
            "secret_key": secrets.token_urlsafe(50),
            "encryption_keys": Fernet.generate_key().decode(),
        }.items():
            (self.folder / "secrets" / name).write_text(content + "\n")

    def _here(self, text: str) -> str:
        return self._written.sub(lambda found: self._places[found[0]], text)

    def words(self, command: list[str]) -> list[str]:
        return [
            sys.executable if word == "python" else self._here(word) for word in command
        ]

    def environment(self, name: str) -> dict[str, str]:
        """The image's and the service's, and nothing of ours but the path."""
        given = compose.image_environment() | compose.service(name)["environment"]
        here = {variable: self._here(value) for variable, value in given.items()}
        return here | {"PATH": os.environ["PATH"], "ROLE": f"{self.folder}/{name}"}

    def run(self, *command: str, role: str = "prepare") -> subprocess.CompletedProcess:
        """A command inside a service's container, to its end."""
        return subprocess.run(
            self.words(list(command)),
            cwd=self.app,
            env=self.environment(role),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def manage(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.run("python", "manage.py", *arguments)

    def start(self, *names: str) -> None:
        for name in names:
            self.roles[name] = Role(self, name)

    def is_healthy(self, name: str) -> bool:
        kind, *command = compose.service(name)["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(*command, role=name).returncode == 0

    def wait_until_healthy(self, *names: str, seconds: float = 60) -> None:
        for name in names:
            wait_until(lambda name=name: self.is_healthy(name), seconds=seconds)

    def url(self, role: str) -> str:
        return f"http://127.0.0.1:{self.ports['8010' if role == 'gateway' else '8000']}"

    def new_key(self, *scopes: str) -> str:
        asked = [word for scope in scopes for word in ("--scope", scope)]
        made = self.manage("create_api_key", "-".join(scopes), *asked, "--json")
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)["key"]

    def output(self) -> str:
        return "".join(role.output for role in self.roles.values())

    def end(self) -> None:
        for role in self.roles.values():
            role.end()


@contextmanager
def deployed(folder: Path, *, database_url: str, redis_url: str):
    """A `Deployment` whose processes are gone afterwards, whatever happens."""
    deployment = Deployment(folder, database_url=database_url, redis_url=redis_url)
    try:
        yield deployment
    finally:
        deployment.end()
