"""systemd's own words: who manages, what a unit is, what refusals say, the journal."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.waiting import wait_until
from venom_site.clients import control_groups, journal, process_trees, systemd
from venom_site.clients.systemd_answers import seen_in
from venom_site.clients.systemd_refusals import UnitRefused, refusal
from venom_site.lib.errors import WireError

pytestmark = [pytest.mark.process, pytest.mark.slow]

UNIT = "practice.service"
SLEEPER = f"{sys.executable} -S -c 'import time; print(42, flush=True); time.sleep(99)'"
SHOWN = """LoadState=loaded
ActiveState=activating
SubState=auto-restart
Result=exit-code
MainPID=0
NRestarts=7
ExecMainCode=2
ExecMainStatus=9
ExecMainStartTimestamp=Sat 2026-11-21 10:00:00 UTC
FragmentPath=/etc/systemd/system/vllm.service
TimeoutStopUSec=1min 30s 500ms
NeedDaemonReload=yes
"""


@pytest.fixture(autouse=True)
def nothing_kept():
    systemd._manager.cache_clear()
    systemd._known.cache_clear()
    yield
    systemd._manager.cache_clear()
    systemd._known.cache_clear()


def active(unit=UNIT):
    return systemd.look(unit, "system").active_state


def test_the_properties_of_a_unit_are_read_in_their_own_units():
    seen = seen_in(SHOWN)
    assert seen.exists
    assert seen.waits_to_restart
    assert not seen.has_ended
    assert (seen.main_pid, seen.restarts, seen.exit_code) == (None, 7, -9)
    assert seen.started_at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert seen.stop_seconds == 90.5
    assert seen.is_stale


def test_an_answer_without_words_is_a_unit_that_is_not_there():
    seen = seen_in("")
    assert not seen.exists
    assert seen.has_ended
    assert seen.stop_seconds == 90
    assert seen_in("MainPID=lots\nExecMainStatus=\nNRestarts=[not set]").restarts == 0


@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("Failed to start x.service: Interactive authentication required.", "polkit"),
        ("Failed to start x.service: Access denied", "sudo systemctl start x.service"),
        ("Failed to start x.service: Unit x.service not found.", "scripts/systemd"),
        ("Failed to start x.service: Unit x.service is masked.", "systemctl unmask"),
        (
            "Failed to start x.service: Unit x.service has a bad unit file setting.",
            "ver",
        ),
        ("System has not been booted with systemd as init system", "does not manage"),
        ("Failed to connect to bus: Host is down", "processes of Venom's own"),
        ("x.service: Start request repeated too quickly.", "reset-failed"),
        ("token=abcdefgh something else", "token=…"),
    ],
)
def test_a_refusal_names_the_next_step(complaint, remedy):
    error = refusal("start", "x.service", "system", complaint)
    assert remedy in str(error)


def test_a_refusal_in_the_user_scope_asks_nobody_to_become_root():
    error = refusal("stop", "x.service", "user", "Access denied")
    assert isinstance(error, UnitRefused)
    assert "systemctl --user stop x.service" in str(error)
    assert "sudo" not in str(error)


@pytest.mark.parametrize("reason", ["No medium found", "Connection refused"])
def test_a_user_without_a_manager_is_told_plainly_and_how_to_get_one(reason):
    said = f"Failed to connect to bus: {reason}"
    told = str(refusal("start", "x.service", "user", said))
    assert told.startswith("This user has no manager of systemd (systemctl --user: ")
    assert "processes of Venom's own" in told
    assert "sudo loginctl enable-linger USER" in told


@pytest.mark.parametrize("name", ["--help", "", "a b", "x/../y", "a" * 300, "x;rm"])
def test_what_could_be_an_option_or_a_path_is_no_unit(name, practice_systemd):
    assert not systemd.exists(name, "system")
    with pytest.raises(WireError, match="cannot be the name of a unit"):
        systemd.start(name, "system")


def test_without_the_program_systemd_manages_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not systemd.is_manager("system")
    assert not systemd.exists(UNIT, "system")
    with pytest.raises(WireError, match="no program systemctl"):
        systemd.look(UNIT, "system")


@pytest.mark.skipif(
    not shutil.which("systemctl") or os.path.isdir("/run/systemd/system"),  # noqa: PTH112
    reason="needs a real systemctl on a machine that systemd does not manage",
)
def test_the_real_program_in_a_container_is_no_manager():
    assert not systemd.is_manager("system")
    with pytest.raises(WireError, match="does not manage"):
        systemd.look(UNIT, "system")
    assert "does not manage" in systemd.absence("system")
    assert not systemd.is_manager("user")
    assert "This user has no manager" in systemd.absence("user")


def test_a_unit_starts_is_seen_and_stops(practice_systemd):
    assert systemd.absence("system") == ""
    practice_systemd.install(UNIT, SLEEPER)
    assert systemd.exists(UNIT, "system")
    assert not systemd.exists("no.service", "system")
    before = datetime.now(UTC) - timedelta(seconds=2)
    systemd.start(UNIT, "system")
    wait_until(lambda: systemd.look(UNIT, "system").main_pid, seconds=20)
    seen = systemd.look(UNIT, "system")
    assert seen.active_state == "active"
    assert seen.started_at > before
    rows = control_groups.rows(seen.control_group, seen.main_pid)
    assert [row.pid for row in rows] == [seen.main_pid]
    systemd.stop(UNIT, "system")
    wait_until(lambda: active() == "inactive", seconds=20)
    assert not process_trees.still_there(rows[0].known)


def test_a_systemd_that_is_not_the_manager_says_so(practice_systemd):
    practice_systemd.install(UNIT, SLEEPER)
    practice_systemd.fault(absent=True)
    assert not systemd.is_manager("system")
    with pytest.raises(WireError, match="does not manage this machine") as caught:
        systemd.start(UNIT, "system")
    assert caught.value.reason_code == "OFFLINE"


def test_a_systemd_that_does_not_answer_is_given_up(practice_systemd, monkeypatch):
    practice_systemd.install(UNIT, SLEEPER)
    practice_systemd.fault(hang=60)
    monkeypatch.setattr(systemd, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(systemd.look, "__defaults__", None)
    with pytest.raises(WireError, match="did not answer within"):
        systemd.run("systemctl", "show", seconds=0.3)


def test_a_refused_start_names_command_and_rule(practice_systemd):
    practice_systemd.install(UNIT, SLEEPER)
    practice_systemd.fault(denied=["start"])
    with pytest.raises(UnitRefused, match=f"sudo systemctl start {UNIT}"):
        systemd.start(UNIT, "system")
    assert active() == "inactive"


def test_a_masked_unit_does_not_exist_for_us(practice_systemd):
    practice_systemd.install(UNIT, SLEEPER)
    practice_systemd.fault(masked=[UNIT])
    assert not systemd.exists(UNIT, "system")
    with pytest.raises(WireError, match="masked"):
        systemd.start(UNIT, "system")


def test_a_unit_at_its_limit_starts_again_when_it_is_asked_for(practice_systemd):
    practice_systemd.install(UNIT, "/bin/true", Restart="always", RestartSec="10ms")
    systemd.start(UNIT, "system")
    wait_until(lambda: active() == "failed", seconds=20)
    assert systemd.look(UNIT, "system").result == "start-limit-hit"
    assert systemd.look(UNIT, "system").restarts == 4
    practice_systemd.install(UNIT, SLEEPER)
    systemd.start(UNIT, "system")
    wait_until(lambda: active() == "active", seconds=20)


def test_the_journal_goes_on_after_a_cursor_and_hides_secrets(practice_systemd):
    said = "print('key sk-abcdefghijklmnop'); print('\\x1b[31mred\\x1b[0m')"
    practice_systemd.install(UNIT, f'{sys.executable} -S -c "{said}"')
    systemd.start(UNIT, "system")
    wait_until(lambda: len(journal.read(UNIT, "system", lines=9)) >= 5, seconds=20)
    entries = journal.read(UNIT, "system", lines=9)
    texts = [entry.text for entry in entries]
    assert "key sk-abc…" in texts
    assert "red" in texts
    later = journal.read(UNIT, "system", lines=9, after=entries[0].cursor)
    assert [entry.text for entry in later] == texts[1:]
    assert journal.read(UNIT, "system", lines=9, after="s=gone") == entries
    run = systemd.look(UNIT, "system").invocation
    assert len(journal.read(UNIT, "system", lines=99, invocation=run)) == len(texts)
    assert journal.read("no.service", "system", lines=9) == []
    assert len(journal.read(UNIT, "user", lines=2)) == 2


def test_a_journal_that_may_not_be_read_says_which_group_is_missing(practice_systemd):
    practice_systemd.fault(journal="denied")
    with pytest.raises(WireError, match="systemd-journal"):
        journal.read(UNIT, "system", lines=9)
