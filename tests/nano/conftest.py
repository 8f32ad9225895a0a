"""The shipped model, loaded once."""

from __future__ import annotations

import pytest

from vivace import NavaPipeline


@pytest.fixture(scope="session")
def pipeline() -> NavaPipeline:
    """nano-nava as it ships; tests must leave it as it is."""
    loaded = NavaPipeline.from_pretrained("nano-nava")
    loaded.set_progress_bar_config(disable=True)
    return loaded
