"""Where `up` runs: option over environment over `.env` over default."""

import socket
from pathlib import Path

import pytest

from venom_site.embedded.place import (
    Refusal,
    choose_place,
    node_name,
    read_dotenv,
    wait_for_port,
)


def choose(folder: Path, options=None, **environment):
    return choose_place(folder, environment=environment, **(options or {}))


def test_the_defaults_are_loopback_and_the_data_folder_beside_manage_py(tmp_path):
    place = choose(tmp_path)
    assert place.url == "http://127.0.0.1:8000"
    assert place.data_dir == tmp_path / "data"
    assert place.node == node_name(socket.gethostname())


def test_option_beats_environment_beats_dotenv(tmp_path):
    (tmp_path / ".env").write_text("VENOM_PORT=1111\nVENOM_HOST=127.0.0.2\n")
    assert choose(tmp_path).port == 1111
    assert choose(tmp_path, VENOM_PORT="2222").port == 2222
    assert choose(tmp_path, {"port": "3333"}, VENOM_PORT="2222").port == 3333
    assert choose(tmp_path, VENOM_HOST="").host == "127.0.0.2"


def test_dotenv_lines_are_read_as_people_write_them(tmp_path):
    (tmp_path / ".env").write_text(
        "# a comment\n"
        "export VENOM_PORT = 1111 # why\n"
        "VENOM_DATA_DIR='/srv/a # b'\n"
        'VENOM_NODE="box"\n'
        "VENOM_HOST=\n"
        "nonsense\n"
    )
    assert read_dotenv(tmp_path / ".env") == {
        "VENOM_PORT": "1111",
        "VENOM_DATA_DIR": "/srv/a # b",
        "VENOM_NODE": "box",
    }


def test_a_dotenv_that_is_no_text_is_left_to_the_settings_reader(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert read_dotenv(tmp_path / ".env") == {}


def test_the_demo_stays_away_from_the_real_data_folder(tmp_path):
    (tmp_path / ".env").write_text("VENOM_DATA_DIR=/srv/real\n")
    place = choose(tmp_path, {"demo": True})
    assert place.data_dir == tmp_path / "data" / "demo"
    children = place.child_environment({"PATH": "/bin"})
    assert children["VENOM_RUNTIME_PROFILE"] == "full"
    assert children["VENOM_DATA_DIR"] == str(place.data_dir)
    chosen = choose(tmp_path, {"demo": True}, VENOM_DATA_DIR="/srv/mine")
    assert chosen.data_dir == Path("/srv/mine")


def test_children_receive_the_answers_so_that_nobody_guesses_again(tmp_path):
    place = choose(tmp_path, VENOM_NODE="My Box,1", VENOM_PORT="8123")
    children = place.child_environment({"VENOM_NODE": "My Box,1"})
    assert children["VENOM_NODE"] == "My-Box-1"
    assert children["VENOM_PORT"] == "8123"
    assert children["VENOM_HOST"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_address_shown_is_one_that_can_be_opened(tmp_path, host, url):
    assert choose(tmp_path, {"host": host}).url == url


@pytest.mark.parametrize(
    ("name", "node"),
    [("Box.lan", "Box.lan"), ("a b,c/d", "a-b-c-d"), ("gpu_1", "gpu_1"), ("", "local")],
)
def test_a_node_name_fits_into_the_name_of_a_queue(name, node):
    assert node_name(name) == node


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8000.0", "http", "８０"])
def test_a_port_that_is_none_is_refused_in_a_sentence(tmp_path, port):
    with pytest.raises(Refusal, match="VENOM_PORT must be a number"):
        choose(tmp_path, VENOM_PORT=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_refused_with_a_remedy(tmp_path, host):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        place = choose(tmp_path, {"host": host, "port": port})
        with pytest.raises(Refusal, match=f"127.0.0.1:{port} is already taken"):
            wait_for_port(place, seconds=0, is_stopping=lambda: False)
    wait_for_port(place, seconds=0, is_stopping=lambda: False)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(tmp_path, host):
    place = choose(tmp_path, {"host": host})
    with pytest.raises(Refusal, match="VENOM_HOST"):
        wait_for_port(place, seconds=0, is_stopping=lambda: False)
