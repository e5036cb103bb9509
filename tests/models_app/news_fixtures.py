"""Fixtures: an installation whose news come from the practice neighbour."""

from __future__ import annotations

import pytest

from tests.fakes.news import FEED, PAPERS


@pytest.fixture
def written(practice_news, settings):
    """The practice neighbour whose blog and papers this installation reads."""
    settings.ENV = settings.ENV.model_copy(
        update={
            "NEWS_BLOG_FEED_URL": practice_news.url + FEED,
            "NEWS_PAPERS_URL": practice_news.url + PAPERS,
        }
    )
    return practice_news
