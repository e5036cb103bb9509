"""Where one machine's Venom lives: address, data folder, node name.

`up.py` asks for it before anything is started. Only the four variables that the
supervisor itself needs are read here; every other setting is read by `env.py` in the
children, which receive these four resolved. Plain standard library.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "8000"
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names, not a bind
ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*$")


class Refusal(Exception):
    """A start that cannot be; the text is the sentence for the user."""

    code = "start_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The answers; `folder` holds manage.py."""

    folder: Path
    data_dir: Path
    host: str
    port: int
    node: str
    demo: bool

    @property
    def run_dir(self) -> Path:
        """Lock, sockets, messages: what is meaningless after a restart."""
        return self.data_dir / "run"

    @property
    def near_host(self) -> str:
        """The address by which this machine reaches itself."""
        return WILDCARDS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """What to type into a browser here."""
        host = f"[{self.near_host}]" if ":" in self.near_host else self.near_host
        return f"http://{host}:{self.port}"

    def child_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of every child."""
        result = {
            **environment,
            "VENOM_HOST": self.host,
            "VENOM_PORT": str(self.port),
            "VENOM_DATA_DIR": str(self.data_dir),
            "VENOM_NODE": self.node,
            "VENOM_SKIP_BOOTSTRAP": "1",
        }
        # glibc gives each thread a heap of its own and hardly anything back: a gateway
        # under load was 15 MB larger (measured).
        result.setdefault("MALLOC_ARENA_MAX", "2")
        if self.demo:  # nothing of the real installation may be touched
            result |= {"VENOM_RUNTIME_PROFILE": "full", "VENOM_ENV_FILE": os.devnull}
        return result


def choose_place(
    folder: Path,
    *,
    environment: Mapping[str, str],
    host: str | None = None,
    port: str | None = None,
    demo: bool = False,
) -> Place:
    """The place by option, environment, `.env` and default; may raise Refusal."""
    written = {**read_dotenv(folder / ".env"), **_without_empty(environment)}
    data_dir = written.get("VENOM_DATA_DIR", "data")
    if demo:
        data_dir = environment.get("VENOM_DATA_DIR") or "data/demo"
    return Place(
        folder=folder,
        data_dir=(folder / Path(data_dir).expanduser()).resolve(),
        host=host or written.get("VENOM_HOST", DEFAULT_HOST),
        port=_port(port or written.get("VENOM_PORT", DEFAULT_PORT)),
        node=node_name(written.get("VENOM_NODE") or socket.gethostname()),
        demo=demo,
    )


def read_dotenv(path: Path) -> dict[str, str]:
    """The plain `NAME=value` lines of a .env file; {} when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    values = {}
    for line in lines:
        if found := ASSIGNMENT.match(line):
            name, value = found.groups()
            quoted = value[:1] in ("'", '"') and value[-1:] == value[:1]
            values[name] = value[1:-1] if quoted else value.partition(" #")[0].strip()
    return _without_empty(values)


def _without_empty(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise Refusal(f"VENOM_PORT must be a number from 1 to 65535, not {text!r}.")


def node_name(text: str) -> str:
    """The name as it can stand in a queue's name and in a list of queues."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text) or "local"


def wait_for_port(
    place: Place, *, seconds: float, is_stopping: Callable[[], bool]
) -> None:
    """Returns when the address is free; raises Refusal when it stays taken."""
    deadline = time.monotonic() + seconds
    while (refusal := _try_port(place)) is not None and not is_stopping():
        if time.monotonic() >= deadline:
            raise refusal
        time.sleep(0.1)


def _try_port(place: Place) -> Refusal | None:
    where = place.url.removeprefix("http://")
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen(1)  # with reuse, only listening meets a listener
    except OSError as failure:
        if failure.errno == errno.EADDRINUSE:
            return Refusal(
                f"{where} is already taken by another program. "
                f"Choose another port, for example VENOM_PORT={_next(place.port)}."
            )
        return Refusal(
            f"Venom cannot listen on {where}: {failure.strerror}. "
            "Choose another address with VENOM_HOST and VENOM_PORT."
        )
    return None


def _next(port: int) -> int:
    return port + 1 if 1024 <= port < 65535 else 8000
