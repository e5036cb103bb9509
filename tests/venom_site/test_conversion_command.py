"""The command for conversions: its words, its lines, and that nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models_app.providers.folder_store import FolderStore
from tests.fakes.waiting import wait_until
from tests.models_app.model_folders import model_folder
from venom_site.clients import conversion

CONVERTER = Path(__file__).parents[1] / "fakes" / "converter.py"
LONG = 30


class Stop(Exception):
    """What a wish to cancel raises."""


def words(source, target, way=""):
    given = [
        str(source),
        str(target),
        "auto",
        "none",
        *([f"--as={way}"] if way else []),
    ]
    return [sys.executable, str(CONVERTER), *given]


def run(tmp_path, way="", *, said=None, check=lambda: None, grace=2.0):
    source = model_folder(tmp_path / "source")
    target = tmp_path / "target"
    target.mkdir()
    said = [] if said is None else said
    conversion.convert(
        words(source, target, way),
        folder=tmp_path,
        say=said.append,
        check=check,
        grace_seconds=grace,
    )
    return said


def waiting_pids(said):
    [line] = [line for line in said if line.startswith("waiting ")]
    return [int(word) for word in line.split()[1:]]


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_placeholders_are_replaced_inside_their_word_and_never_split():
    values = {"source": "/a b/{target}", "target": "/t;rm", "dtype": "auto"}

    found = conversion.words_of(
        "run --in={source} '{target}' {dtype} {quantization} {other}",
        values | {"quantization": ""},
    )

    assert found == ["run", "--in=/a b/{target}", "/t;rm", "auto", "", "{other}"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "lacks {source}"),
        ("run {source}", "lacks {target}"),
        ("run '{source} {target}", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_work_is_named(command, reason):
    with pytest.raises(conversion.CommandMissing, match=reason):
        conversion.words_of(command, {})


def test_it_runs_in_the_given_folder_and_its_lines_are_told(tmp_path):
    said = run(tmp_path)

    assert said == [f"converting to auto none in {tmp_path.name}"]
    assert (tmp_path / "target" / "model.safetensors").exists()


def test_it_is_given_no_secret_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("VENOM_SECRET_KEY", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    [has] = [line for line in run(tmp_path, "environment") if line.startswith("has ")]

    names = set(has.split())
    assert {"PATH", "CUDA_VISIBLE_DEVICES"} <= names
    assert names.isdisjoint({"HF_TOKEN", "VENOM_SECRET_KEY", "DJANGO_SETTINGS_MODULE"})


def test_a_failure_names_the_line_that_looks_like_its_cause(tmp_path):
    with pytest.raises(conversion.CommandFailed, match="no rule for these weights"):
        run(tmp_path, "fail")


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_program_that_is_not_there_is_named(tmp_path, program):
    with pytest.raises(conversion.CommandMissing, match="no such program"):
        conversion.convert(
            [program, "x"],
            folder=tmp_path,
            say=print,
            check=lambda: None,
            grace_seconds=2,
        )


def test_a_program_that_cannot_be_run_fails_with_its_reason(tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(b"\x00\x01")
    odd.chmod(0o755)

    with pytest.raises(conversion.CommandFailed, match="Exec format error"):
        conversion.convert(
            [str(odd)],
            folder=tmp_path,
            say=lambda _: None,
            check=lambda: None,
            grace_seconds=2,
        )


def test_thousands_of_lines_are_cut_to_the_first_and_the_last(tmp_path):
    said = run(tmp_path, "chatter")

    assert len(said) == conversion.MOST_LINES + 1 + conversion.LAST_LINES
    assert said[1] == "line 0"
    assert said[conversion.MOST_LINES].endswith("lines are left out.)")
    assert max(map(len, said)) <= conversion.LONGEST_LINE


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hang", "stubborn"])
def test_a_wish_to_stop_ends_it_and_all_that_it_started(tmp_path, way):
    said = []

    def check():
        if any(line.startswith("waiting") for line in said):
            raise Stop

    with pytest.raises(Stop):
        run(tmp_path, way, said=said, check=check)

    assert not any(map(is_alive, waiting_pids(said)))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hang", "stubborn"])
def test_a_killed_worker_takes_it_along(tmp_path, way):
    source = model_folder(tmp_path / "source")
    (tmp_path / "target").mkdir()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from venom_site.clients import conversion\n"
        "conversion.convert(sys.argv[2:], folder=Path(sys.argv[1]), check=lambda: None,"
        " grace_seconds=2, say=lambda line: print(line, flush=True))\n"
    )
    ours = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(
        [*ours, *words(source, tmp_path / "target", way)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CONVERTER.parents[2],
    ) as worker:
        said = [worker.stdout.readline().strip() for _ in range(2)]
        pids = waiting_pids(said)
        assert all(map(is_alive, pids))

        worker.send_signal(signal.SIGKILL)
        worker.wait()

    wait_until(lambda: not any(map(is_alive, pids)), seconds=LONG)


@pytest.mark.slow
def test_what_it_leaves_running_ends_with_it_and_keeps_nobody_waiting(tmp_path):
    said = []
    began = time.monotonic()
    conversion.convert(
        ["sh", "-c", "sleep 600 & echo left $!"],
        folder=tmp_path,
        say=said.append,
        check=lambda: None,
        grace_seconds=2,
    )

    assert time.monotonic() - began < LONG
    wait_until(lambda: not is_alive(int(said[0].split()[1])), seconds=LONG)


@pytest.mark.slow
def test_who_goes_on_after_a_killed_worker_waits_for_its_command_and_begins_empty(
    tmp_path,
):
    source = model_folder(tmp_path / "source")
    store = FolderStore(tmp_path / "hf")
    name, revision = "org/m", "a" * 40 + "-plain"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from models_app.providers.folder_store import FolderStore\n"
        "from venom_site.clients import conversion\n"
        f"store = FolderStore(Path({str(store.root)!r}))\n"
        f"with store.making({name!r}, {revision!r}, check=bool) as (folder, lock):\n"
        "    conversion.convert(sys.argv[1:], folder=folder.parent, check=bool,\n"
        "        grace_seconds=2, say=lambda line: print(line, flush=True),\n"
        "        keep=(lock,))\n"
    )
    target = store.partial(name, revision)
    with subprocess.Popen(
        [sys.executable, "-c", program, *words(source, target, "stubborn")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CONVERTER.parents[2],
    ) as worker:
        said = [worker.stdout.readline().strip() for _ in range(2)]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert (target / "config.json").exists()

    with store.making(name, revision, check=lambda: None) as (folder, _lock):
        assert list(folder.iterdir()) == []
        wait_until(lambda: not any(map(is_alive, waiting_pids(said))), seconds=LONG)

    assert not target.exists()
