"""How a download ends badly: one error with a case, and a trouble that may pass."""

from __future__ import annotations

import errno

from venom_site.lib.errors import WireError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    "access": "AUTH_ERROR",
    "missing": "MODEL_NOT_FOUND",
    "busy": "RATE_LIMIT",
    "away": "OFFLINE",
}
_PASSING = ("away", "busy")


class DownloadRefused(WireError):
    """`case` says what kept it from ending well; the bytes that came are kept.

    access: the source wants a token or does not let this one in · missing: it has no
    such file · changed: it offers another file than the one promised · digest: wrong
    bytes came twice · size: it says another length than the one promised · away: it
    cannot be reached, or sent nothing for a minute · busy: it asked for patience
    (`wait_seconds`), or another process downloads into this folder (0) · disk_full,
    read_only: of the folder · unsafe_path: a name that may not be written.
    """

    def __init__(
        self,
        case: str,
        message: str,
        *,
        status: int | None = None,
        wait_seconds: float = 0,
        permanent: bool | None = None,
    ) -> None:
        super().__init__(
            message,
            permanent=case not in _PASSING if permanent is None else permanent,
            status=status,
            reason_code=_REASONS.get(case, "DEGRADED"),
        )
        self.case = case
        self.wait_seconds = wait_seconds


class Passing(Exception):
    """One request came to nothing; asking again may help.

    `wait_seconds` is the server's own wish, None where it has none.
    """

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def of_disk(error: OSError, place: str) -> DownloadRefused:
    """What the file system refused, in a sentence that names the place."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return DownloadRefused("disk_full", f"The disk of {place} is full: {reason}.")
    if error.errno == errno.ENAMETOOLONG:
        return DownloadRefused("unsafe_path", f"The name is too long: {place}.")
    return DownloadRefused("read_only", f"{place} cannot be written: {reason}.")
