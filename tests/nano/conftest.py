"""The shipped models, each loaded once."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from vivace import AlivePipeline, NavaPipeline

Shipped: TypeAlias = NavaPipeline | AlivePipeline
PIPELINES = {"nano-nava": NavaPipeline, "nano-alive": AlivePipeline}


@pytest.fixture(scope="session", params=list(PIPELINES))
def pipeline(request: pytest.FixtureRequest) -> Shipped:
    """A model as it ships; tests must leave it as it is."""
    loaded: Shipped = PIPELINES[request.param].from_pretrained(request.param)
    loaded.set_progress_bar_config(disable=True)
    return loaded
