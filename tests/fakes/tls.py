"""TLS on loopback: a certificate for a day, and a tunnel to a server that has none."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def practice_certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context for 127.0.0.1, and a client's that trusts only it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "practice")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "practice.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


@contextlib.contextmanager
def tunnel(context: ssl.SSLContext, url: str) -> Iterator[str]:
    """Listen with TLS and pass every connection on to the plain server."""
    place = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                came, _ = listener.accept()
                threading.Thread(target=serve, args=(came,), daemon=True).start()

    def serve(came: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            came,
            context.wrap_socket(came, server_side=True) as outer,
            socket.create_connection((place.hostname, place.port)) as inner,
        ):
            # One request, one answer: the downloader never sends while it reads.
            while request := outer.recv(65536):
                inner.sendall(request)
                if not _pass_answer(inner, outer):
                    return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _pass_answer(inner: socket.socket, outer: ssl.SSLSocket) -> bool:
    """Whether the answer ended and another may follow; by its Content-Length."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = inner.recv(65536)
        if not piece:
            return False
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    outer.sendall(came)
    owed = lengths[0] - len(body)
    while owed > 0:
        piece = inner.recv(65536)
        if not piece:
            return False
        outer.sendall(piece)
        owed -= len(piece)
    return True
