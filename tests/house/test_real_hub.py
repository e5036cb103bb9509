"""Our client against a real peer of the Hub, beside the practice hub (`-m real`)."""

import httpx
import pytest

from models_app.providers.catalogue import Access
from models_app.providers.huggingface_catalogue import HuggingFaceCatalogue
from models_app.reasons import NO_REASON
from tests.fakes.tiny_model import tiny_files
from tests.real.hub_rig import REPO
from venom_site.clients.huggingface import HubClient, HubRefused, HubUnreadable

pytestmark = pytest.mark.real


@pytest.fixture
def hub(real_hub):
    return HubClient(real_hub.url)


def test_a_model_has_its_commit_its_files_and_its_licence(hub):
    repo = hub.model(REPO, "main")
    assert (repo.id, repo.license, len(repo.commit)) == (REPO, "mit", 40)
    assert {*tiny_files(), "README.md"} == {file.path for file in repo.files}
    assert hub.model(REPO, repo.commit).commit == repo.commit


def test_files_are_read_and_their_addresses_lead_to_the_bytes(hub):
    commit = hub.model(REPO, "main").commit
    for path, content in tiny_files().items():
        assert hub.read_file(REPO, commit, path, limit_bytes=2_000_000) == content
        assert httpx.get(hub.file_url(REPO, commit, path)).content == content


@pytest.mark.parametrize(
    ("repo", "revision"), [("no/body", "main"), (REPO, "nope"), (REPO, "")]
)
def test_what_it_does_not_have_is_missing(hub, repo, revision):
    with pytest.raises(HubRefused) as caught:
        hub.model(repo, revision)
    assert caught.value.case == "missing"


def test_a_peer_without_lists_is_told_and_not_shown_as_empty(hub):
    with pytest.raises(HubUnreadable):
        hub.list_models()


def test_details_without_sizes_have_figures_and_an_unknown_size(real_hub):
    details = HuggingFaceCatalogue(real_hub.url).details(REPO, "main")
    (variant,) = details.variants
    assert (variant.size_bytes, variant.is_exact) == (None, False)
    assert (details.access, variant.complaint) == (Access.OPEN, NO_REASON)
    assert details.card == "# A tiny model"
