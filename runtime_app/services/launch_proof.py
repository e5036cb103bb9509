"""Before anything is stopped: could the new server be started at all?

What the settings and the model say is refused by `launches.launch_for`; here the disk
is asked.
"""

from __future__ import annotations

from runtime_app.models import Runtime
from runtime_app.runtimes import launch_files
from runtime_app.runtimes.control import Launch
from runtime_app.services.runtimes import place
from venom_site.lib.errors import Conflict, WireError


class LaunchRefused(Conflict):
    """The disk takes no launch file (full, denied), so nothing was stopped."""

    code = "launch_refused"


def prove_startable(runtime: Runtime, launch: Launch) -> None:
    """Raises `LaunchRefused` saying what would help."""
    try:
        launch_files.prove(runtime.name, launch)
    except WireError as error:
        what = f" with {launch.served_name}" if launch.served_name else ""
        raise LaunchRefused(
            f"{place(runtime)}{what} cannot be started: {error}", runtime=runtime.name
        ) from error
