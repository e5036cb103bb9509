"""`manage.py up` and `manage.py down`: Venom on one machine, without Django in here.

`manage.py` calls `main`. `up` takes the lock of the data folder, has `manage.py
prepare` migrate and print the sign-in link, then keeps web, worker and beat running
until it is asked to stop. Everything refused is one sentence and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from venom_site.embedded.place import Place, Refusal, choose_place, wait_for_port
from venom_site.embedded.ready import announce_when_ready
from venom_site.embedded.run_lock import Holder, RunLock
from venom_site.embedded.supervisor import Role, StopSignals, Supervisor, say

RELEASE_SECONDS = 10.0  # the children of a killed `up` are gone after 8 s
NEIGHBOURS_SECONDS = 10.0
DOWN_SECONDS = 12.0
END_SECONDS = 9.5  # for servers of ours, beside our own processes
# Longer than clients keep an idle connection (the official ones 5 s, balancers 60): who
# closes first must be the one that knows whether it is about to ask again.
KEEP_ALIVE_SECONDS = 75
UNLOAD_SECONDS = 8.0  # 5 s for the servers, the rest for the command's own start


def main(argv: Sequence[str], folder: Path) -> int:
    """Runs `up` or `down` for the checkout in `folder`; the exit code."""
    options = _parse(argv)
    try:
        place = choose_place(
            folder,
            environment=os.environ,
            host=options.host,
            port=options.port,
            demo=options.demo,
        )
        return _down(place) if options.command == "down" else _up(place)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start Venom on this machine")
    up.add_argument("--host", help="address to listen on (VENOM_HOST)")
    up.add_argument("--port", help="port to listen on (VENOM_PORT)")
    down = commands.add_parser("down", help="stop what `up` started")
    down.set_defaults(host=None, port=None)
    for command in (up, down):
        command.add_argument(
            "--demo", action="store_true", help="with practice neighbours"
        )
    return parser.parse_args(argv)


def _up(place: Place) -> int:
    signals = StopSignals()
    lock = RunLock(place.data_dir)
    _take(lock)
    try:
        was_killed = lock.read() is not None
        wait_for_port(
            place,
            seconds=RELEASE_SECONDS if was_killed else 0,
            is_stopping=signals.asked,
        )
        lock.write(_holder(place))
        return _serve(place, signals)
    finally:
        lock.release()


def _take(lock: RunLock) -> None:
    try:
        taken = lock.acquire()
    except OSError as failure:
        raise Refusal(
            f"The data folder cannot be used: {failure}. "
            "Choose another one with VENOM_DATA_DIR."
        ) from failure
    if not taken:
        holder = lock.read()
        who = f"as process {holder.pid} at {holder.url}" if holder else "already"
        raise Refusal(
            f"Venom runs {who} on this data folder ({lock.path.parent.parent}). "
            "Stop it with 'manage.py down', or choose another VENOM_DATA_DIR."
        )


def _holder(place: Place) -> Holder:
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(pid=os.getpid(), url=place.url, started_at=started_at)


def _serve(place: Place, signals: StopSignals) -> int:
    say("Venom is starting…")
    environment = place.child_environment(os.environ)
    supervisor = Supervisor(signals, environment, place.folder)
    try:
        if place.demo:
            environment.update(_start_neighbours(supervisor, place))
        code = supervisor.run_once([sys.executable, "manage.py", "prepare"])
        if code:
            raise Refusal(f"Venom did not start: preparing failed (exit code {code}).")
        if code == 0 and place.demo:
            code = supervisor.run_once(_demo_key_command())
        if code == 0:
            _keep_running(supervisor, place)
        say("Stopping…")
    finally:
        ends = time.monotonic() + END_SECONDS
        ending = _begin_ending_servers(place, environment)
        supervisor.stop()
        _see_servers_ended(ending, ends)
    say("Stopped.")
    return 0


def _begin_ending_servers(
    place: Place, environment: dict[str, str]
) -> subprocess.Popen[bytes] | None:
    """Stop the servers that we started, beside our own processes; None where there are
    none: each has a note beside its launch file."""
    if not list((place.data_dir / "runtimes").glob("*.process")):
        return None
    command = [sys.executable, "manage.py", "runtimes", "unload-all", "--now", "--ours"]
    try:
        return subprocess.Popen(  # noqa: S603 - a fixed command
            command,
            cwd=place.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as failure:
        say(f"The servers that Venom started may still run: {failure}.")
        return None


def _see_servers_ended(ending: subprocess.Popen[bytes] | None, ends: float) -> None:
    """It has been at work as long as our own processes took to end. One that a busy
    machine holds up goes on without us: it has a limit of its own, and killed it would
    leave the servers and their memory to nobody."""
    if ending is None:
        return
    try:
        ending.wait(max(0.1, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        say("The servers that Venom started take longer and are still being stopped.")


def _demo_key_command() -> list[str]:
    """A ready key, printed once. Each start makes its own: a key cannot be shown
    again."""
    name = f"demo {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    scopes = ("--scope", "admin", "--scope", "inference")
    return [sys.executable, "manage.py", "create_api_key", name, *scopes]


def _keep_running(supervisor: Supervisor, place: Place) -> None:
    for role in roles(place):
        supervisor.start(role)
    threading.Thread(
        target=announce_when_ready,
        args=(place, supervisor.signals.asked, say),
        daemon=True,
    ).start()
    supervisor.run()


def roles(place: Place) -> list[Role]:
    """What runs, in the order of starting; it is stopped in the reverse order."""
    web = (
        *("uvicorn", "venom_site.asgi:application"),
        *("--host", place.host, "--port", str(place.port), "--lifespan", "on"),
        *("--timeout-graceful-shutdown", "4", "--ws", "websockets-sansio"),
        *("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)),
        *("--no-server-header", "--no-access-log", "--log-level", "warning"),
    )
    worker = (
        *("celery", "-q", "-A", "venom_site", "worker", "-n", f"venom@{place.node}"),
        *("-P", "threads", "-c", "8", "-Q", f"default,node.{place.node}"),
        *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        *("-l", "warning"),
    )
    beat = (
        *("celery", "-q", "-A", "venom_site", "beat", "--pidfile=", "-l", "warning"),
        *("-s", str(place.run_dir / "beat")),
    )
    return [_role("web", web), _role("worker", worker), _role("beat", beat)]


def _role(name: str, module_and_arguments: Sequence[str]) -> Role:
    watched = (sys.executable, "-m", "venom_site.embedded.parent_watch")
    return Role(name=name, argv=(*watched, *module_and_arguments))


def _start_neighbours(supervisor: Supervisor, place: Place) -> dict[str, str]:
    """Starts the practice servers; the variables that point Venom at them."""
    ports_file = place.run_dir / "demo.json"
    ports_file.unlink(missing_ok=True)
    argv = ("tests.fakes.demo", "--ports-file", str(ports_file))
    supervisor.start(_role("neighbours", argv))
    deadline = time.monotonic() + NEIGHBOURS_SECONDS
    while not ports_file.exists() and not supervisor.signals.asked():
        if time.monotonic() > deadline:
            raise Refusal("Venom did not start: the practice servers are not up.")
        supervisor.signals.wait(0.05)
        supervisor.tend()
    if not ports_file.exists():
        return {}
    written: dict[str, str] = json.loads(ports_file.read_text(encoding="utf-8"))
    return written


def _down(place: Place) -> int:
    lock = RunLock(place.data_dir)
    holder = lock.read()
    if holder is None or not lock.is_held():
        say("Venom is not running.")
        return 0
    _unload_models(place)
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except PermissionError:
        raise Refusal(
            f"Venom runs as process {holder.pid} of another user, who can stop it."
        ) from None
    deadline = time.monotonic() + DOWN_SECONDS
    while lock.is_held():
        if time.monotonic() > deadline:
            raise Refusal(
                f"Venom (process {holder.pid}) still runs after {DOWN_SECONDS:.0f} s."
            )
        time.sleep(0.05)
    say("Stopped.")
    return 0


def _unload_models(place: Place) -> None:
    """Free the runtimes' memory and say what was done; a failure stops no stop."""
    environment = place.child_environment(os.environ)
    if place.demo:
        environment |= _neighbours_of(place)
    command = [sys.executable, "manage.py", "runtimes", "unload-all", "--now"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command,
            cwd=place.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=UNLOAD_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        say("The runtimes took too long to unload their models.")
    except (OSError, subprocess.CalledProcessError):
        return
    else:
        for line in done.stdout.splitlines():
            say(line)


def _neighbours_of(place: Place) -> dict[str, str]:
    """Where the practice servers of a running demo are."""
    try:
        text = (place.run_dir / "demo.json").read_text(encoding="utf-8")
        written: dict[str, str] = json.loads(text)
    except (OSError, ValueError):
        return {}
    return written
