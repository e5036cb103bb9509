"""`manage.py runtimes status`: exit codes for init scripts, a sentence for people."""

from __future__ import annotations

import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command

from runtime_app.choices import RuntimeKind
from tests.factories import RuntimeFactory
from tests.fakes.waiting import wait_until
from tests.servers import free_port
from venom_site.clients import systemd

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]
UNIT = "practice-status.service"
LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', {})); {}"


def status(name, *words):
    """Exit code and what was printed."""
    out = io.StringIO()
    try:
        call_command("runtimes", "status", name, *words, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def vllm_row(settings, port):
    settings.RUNTIME_PROFILE = "full"
    settings.ENV = settings.ENV.model_copy(
        update={"VLLM_SYSTEMD_UNIT": UNIT, "VLLM_COMMAND": "no-such-program"}
    )
    systemd._manager.cache_clear()
    systemd._known.cache_clear()
    return RuntimeFactory(
        name="vllm", kind=RuntimeKind.VLLM, base_url=f"http://127.0.0.1:{port}/v1"
    )


def install(practice_systemd, code):
    practice_systemd.install(UNIT, f'{sys.executable} -S -c "{code}"')


def test_a_unit_is_told_with_its_process_and_its_end(vllm_row, practice_systemd, port):
    install(practice_systemd, LISTEN.format(port, "time.sleep(99)"))
    assert status("vllm") == (3, "vllm is stopped (systemd).\n")

    systemd.start(UNIT, "system")
    wait_until(lambda: "is running" in status("vllm")[1], seconds=30)
    code, text = status("vllm", "--json")
    assert code == 0
    facts = json.loads(text)
    assert facts["managed_by"] == "systemd"
    assert facts["pid"] == practice_systemd.state(UNIT)["MainPID"]
    assert facts["memory_bytes"] > 0


def test_a_crashed_unit_ends_with_1_and_its_cause(vllm_row, practice_systemd):
    install(practice_systemd, "raise ValueError(42)")
    systemd.start(UNIT, "system")
    wait_until(lambda: status("vllm")[0] == 1, seconds=30)
    wait_until(lambda: "ValueError: 42" in status("vllm")[1], seconds=30)


def test_a_server_that_venom_only_asks_is_asked(server_row, practice_openai):
    code, line = status("practice")
    assert (code, line.startswith("practice is online (not started by")) == (0, True)
    practice_openai.stop()
    assert status("practice")[0] == 3


def test_an_unknown_name_is_4_and_no_crash():
    with pytest.raises(CommandError) as caught:
        status("nobody")
    assert caught.value.returncode == 4
