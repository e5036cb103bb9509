"""Addresses that are remembered are still those that `reverse` would say."""

import pytest
from django.urls import NoReverseMatch, reverse, set_script_prefix

from venom_site.lib.addresses import address


@pytest.fixture
def under_a_prefix():
    set_script_prefix("/venom/")
    yield
    set_script_prefix("/")


def test_an_address_is_that_of_reverse_however_often_it_is_asked_for():
    for name in ("gemma3:4b", "org/zażółć 7b"):
        told = {address("model-detail", "ollama", name) for _ in range(2)}
        assert told == {reverse("model-detail", args=["ollama", name])}


def test_behind_a_prefix_it_is_another_one(under_a_prefix):
    assert address("model-list") == "/venom/models/"


def test_a_name_that_is_none_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(NoReverseMatch):
            address("no-such-page")
