"""What lies on this machine: its own addresses, programs that can be started."""

from __future__ import annotations

import ipaddress
import shutil
import socket


def is_this_machine(host: str) -> bool:
    """Whether a server at `host` would run here: a loopback address, or one that this
    machine can listen on. A name other than `localhost` is not looked up, since that
    may take half a minute: it counts as another machine's."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or _can_bind(address)


def _can_bind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def program(name: str) -> str | None:
    """The path of a program by name or path, None where it cannot be started."""
    return shutil.which(name)
