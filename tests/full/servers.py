"""A PostgreSQL and a Redis of our own, to be stopped and started in the middle.

Their files lie in a folder of their own; PostgreSQL refuses to run as root, so its
processes are given to the user `postgres` there.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import redis

from tests.embedded.stand_in import free_port
from tests.fakes.waiting import wait_until


class Server:
    """One server process on a port that it keeps over its restarts."""

    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="venom-server-"))
        self.owner: dict = {}
        self.process: subprocess.Popen | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                self.argv(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.owner,
            )
        wait_until(self.answers, seconds=30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            self.process.wait(15)

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def argv(self) -> list[str]:
        program = shutil.which("redis-server") or "redis-server"
        words = f"--port {self.port} --bind 127.0.0.1 --appendonly no --save"
        return [program, *words.split(), ""]

    def answers(self) -> bool:
        with redis.Redis(port=self.port) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


class Postgres(Server):
    stop_signal = signal.SIGINT  # «fast»: open sessions are thrown out

    def __init__(self) -> None:
        super().__init__()
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.owner = {
                "user": user.pw_uid,
                "group": user.pw_gid,
                "extra_groups": [],
            }
        subprocess.run(
            [self._programs / "initdb", "-D", "data", "-U", "postgres", "-A", "trust"],
            cwd=self.folder,
            check=True,
            capture_output=True,
            **self.owner,
        )

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def argv(self) -> list[str]:
        words = f"-D data -p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        return [str(self._programs / "postgres"), *words.split()]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True
