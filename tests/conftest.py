"""Real parts that several rooms' tests share, made once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.tiny import tiny_pipeline

from vivace.pipelines.nava import NavaPipeline

# Ray's workers give way to whatever else runs, so that on a busy machine a test of theirs would stand still.
os.environ.setdefault("RAY_worker_niceness", "0")
# What a shell starts in the background ignores Ctrl-C, and so would the commands that the tests of Ctrl-C start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def pipeline() -> NavaPipeline:
    """The tiny pipeline; tests must leave it as it is."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def model_folder(pipeline: NavaPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline saved as a model folder; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline.save_pretrained(folder)
    return folder
