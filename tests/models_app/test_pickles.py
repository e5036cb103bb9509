"""Pickle weights only: refused, or installed in order to be converted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from models_app.models import InstalledModel, Operation
from models_app.providers.base import UnsupportedModel
from models_app.services import convert, install_check, prepare
from tests.models_app.hub_installs import ask, carry_out, installed
from tests.models_app.installs import lines_of
from venom_site.lib.access import SYSTEM

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

NAME = "practice/pickled"
CONVERTER = Path(__file__).parents[1] / "fakes" / "converter.py"
WORDS = [sys.executable, str(CONVERTER), "{source}", "{target}", "{dtype}"]
COMMAND = shlex.join([*WORDS, "{quantization}", "--as=unpickle"])
DETAILS = "/api/v1/models/details"
QUERY = {"provider": "huggingface", "name": NAME}
PAGE = f"/models/huggingface/{NAME}/?ask=1"


@pytest.fixture
def converter(shop, environment):
    environment(VLLM_PREPARE_COMMAND=COMMAND)
    return shop


def variant_of(client):
    [variant] = client.get(DETAILS, QUERY).json()["variants"]
    return variant


def finding(name):
    found = install_check.check_install("huggingface", NAME).findings
    return next((each for each in found if each.name == name), None)


def test_without_a_converter_it_is_refused_with_the_remedy(shop, api_client):
    with pytest.raises(UnsupportedModel, match="VLLM_PREPARE_COMMAND"):
        ask(NAME)
    body = {"provider": "huggingface", "name": NAME}
    answer = api_client("operate").post(
        "/api/v1/models/install", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "unsupported_model")
    assert finding("source").level == "bad"
    assert prepare.prepare(NAME, runtime="vllm").action == "refuse"


def test_where_a_converter_is_set_it_is_installed_with_the_remark(converter):
    assert (finding("source").level, finding("weights").level) == ("ok", "warn")
    assert "pickle" in finding("weights").message

    operation = installed(NAME)

    assert any("convert it before it is used" in line for line in lines_of(operation))
    assert InstalledModel.objects.get().status == "installed"


def test_details_say_why_not_or_what_to_know(shop, environment, api_client):
    client = api_client("read")
    assert "VLLM_PREPARE_COMMAND" in variant_of(client)["complaint"]
    environment(VLLM_PREPARE_COMMAND=COMMAND)  # the copy was kept before

    variant = variant_of(client)

    assert (variant["complaint"], variant["remark"][:20]) == (
        None,
        "It has pickle weight",
    )
    assert variant["fit"]["verdict"] == "fits"


def test_its_page_offers_the_install_only_with_a_converter(
    shop, environment, page_client
):
    client = page_client("Operator")
    assert "/models/install/?" not in client.get(PAGE).text
    environment(VLLM_PREPARE_COMMAND=COMMAND)

    page = client.get(PAGE).text

    assert "/models/install/?" in page
    assert "convert it before it is used" in page


def test_what_is_planned_is_to_install_and_then_to_convert(converter):
    found = prepare.prepare(NAME, runtime="vllm")

    assert found.action == "none"
    assert [step.split()[0] for step in found.plan] == ["Install", "Convert"]


def test_installed_it_is_converted_into_a_revision_of_safetensors(converter):
    installed(NAME)
    found = prepare.prepare(NAME, runtime="vllm")
    assert found.action == "convert"

    operation = carry_out(convert.request_conversion(found, actor=SYSTEM))

    assert (operation.status, operation.error) == ("completed", "")
    made = InstalledModel.objects.get(revision__endswith="-safetensors")
    assert prepare.prepare_installed(made).action == "none"
    assert not list(Path(made.path).glob("*.bin"))


def test_a_converter_that_is_gone_when_its_turn_comes_fails_by_name(
    converter, environment
):
    operation = ask(NAME)
    environment(VLLM_PREPARE_COMMAND="")

    carry_out(operation)

    assert (operation.status, operation.error_code) == ("failed", "unsupported_model")
    assert Operation.objects.count() == 1
