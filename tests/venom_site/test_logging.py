"""No key, password, token or sign-in link reaches a log line."""

from __future__ import annotations

import io
import logging
import logging.config
import time

import pytest
from uvicorn.config import LOGGING_CONFIG

from venom_site.lib import logging as ours
from venom_site.lib.logging import without_secrets

KEY = "venom_" + "k" * 43
TOKEN = "t" * 43


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"Authorization: Bearer {KEY}", KEY),
        (f"key={KEY}", KEY),
        (f"plain {KEY} inside", KEY),
        ("authorization: bearer abcdef", "abcdef"),
        ("OPENAI_API_KEY=sk-proj-1234567890", "1234567890"),
        ("{'api_key': 'sk-proj-1234567890'}", "1234567890"),
        ('{"password": "hunter2"}', "hunter2"),
        ("DATABASE_URL=postgres://venom:p@ss,w&rd;x@db:5432/venom", "ss,w&rd;x"),
        ("could not connect to postgres://u:ab@db/x", ":ab@"),
        ("redis://:geheim@127.0.0.1:6379/0", "geheim"),
        (f"GET /welcome/{TOKEN}/ 200", TOKEN),
        (f"http://127.0.0.1:8000/welcome/{TOKEN}/", TOKEN),
        ("Cookie: venom_session=abcdefghijkl; x=1", "abcdefghijkl"),
        ("hf_abcdefghijklmnop is the token", "abcdefghijklmnop"),
    ],
)
def test_what_looks_like_a_secret_is_masked(line, secret):
    assert secret not in without_secrets(line)
    assert "…" in without_secrets(line)


@pytest.mark.parametrize(
    "line",
    [
        "GET http://127.0.0.1:11434/api/tags 200",
        "operation=0192f0c4-7c51-7a2b-8000-1234567890ab status=completed",
        "input_tokens=12 output_tokens=40",
        "postgres://db.example:5432/venom answers",
        "model gemma3:4b on ollama",
    ],
)
def test_what_people_need_to_read_stays(line):
    assert without_secrets(line) == line


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        *("venom_12345678", "sk-12345678", "hf_12345678", "AIza12345678"),
        *("bearer 12345678", "basic 12345678", "token=1234", "secret: 1234"),
        *("password = '1234", "passwd:1234", "api_key=1234", "api-key:1234"),
        *("apikey=1234", "no token, but token=1234", "ftp://u:1234@x"),
    ],
)
def test_the_quick_look_overlooks_nothing_that_the_pattern_finds(line, upper):
    given = f"{line.upper()} 🐢" if upper else line
    assert "1234" not in without_secrets(given)


@pytest.mark.parametrize("escaped", ['\\"', "\\\\n ", "\\u00a0"])
def test_the_quick_look_sees_through_the_escapes_of_json(escaped):
    assert ours.may_hold_secrets(f'{{"x": "password{escaped}: 1234"}}')
    assert not ours.may_hold_secrets('{"action": "first_token", "max_tokens": 5}')


def test_the_quick_look_takes_its_time_from_nobody():
    began = time.perf_counter()
    ours.may_hold_secrets(("token" + "\\" * 5000) * 20)
    assert time.perf_counter() - began < 1


@pytest.fixture
def log():
    """The product's logging, written into a buffer, after uvicorn's own set-up."""
    before = logging.getLogger().handlers[:]
    logging.config.dictConfig(LOGGING_CONFIG)
    logging.config.dictConfig(ours.configuration())
    root = logging.getLogger()
    ours_alone = [h for h in root.handlers if h not in before]
    buffer = io.StringIO()
    for handler in ours_alone:
        handler.setStream(buffer)
    yield buffer
    root.handlers[:] = before


def test_a_traceback_is_masked_and_says_its_request(log):
    mark = ours.request_id.set("request-1")
    try:
        raise ValueError(f"postgres://venom:geheim@db/x {KEY}")
    except ValueError:
        logging.getLogger("venom_site.anything").exception("failed")
    finally:
        ours.request_id.reset(mark)

    assert "Traceback" in log.getvalue()
    assert "request=request-1" in log.getvalue()
    assert "geheim" not in log.getvalue()
    assert KEY not in log.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "uvicorn",
        "uvicorn.error",
        "django.server",
        "django.security",
        "daphne",
        "celery",
    ],
)
def test_servers_write_through_our_mask(log, name):
    logging.getLogger(name).error("GET /welcome/%s/ failed", TOKEN)

    assert "/welcome/…" in log.getvalue()
    assert log.getvalue().count("failed") == 1


def test_no_server_writes_an_access_line(log):
    for name in ("uvicorn.access", "django.server", "django.channels.server"):
        logging.getLogger(name).info("GET /welcome/%s/ 200", TOKEN)

    assert log.getvalue() == ""


@pytest.mark.usefixtures("log")
def test_uvicorn_does_not_even_put_an_access_line_together():
    """It does for a logger that somebody hears, its own or one above it."""
    assert not logging.getLogger("uvicorn.access").propagate
    assert ours.configuration()["loggers"]["uvicorn.access"]["handlers"] == []
