"""A study's pages for one rater as a folder that opens without a server."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.resources import files
from pathlib import Path

from vivace.errors import VivaceError
from vivace.evaluation.study.store import Study
from vivace.evaluation.study.telling import told_to_page

_PAGES = {"page.html": "index.html", "page.css": "page.css", "page.js": "page.js", "offline.js": "offline.js"}
_SERVED = '<script src="page.js"></script>'


def write_offline(study: Study, rater: str, output: Path) -> int:
    """Write what a rater gets in this round to a folder: index.html, and all that it needs beside it.

    The rater is given their pairs now, so that others' are balanced against them. The page keeps the answers in the
    browser and saves them as a file, which does not say which clip stood on which side: the page is not told.

    Args:
        output: a folder that is not there yet, or empty.

    Returns:
        How many pairs it shows, controls included.

    Raises:
        VivaceError: an output that is not empty; as `Study.session`.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise VivaceError(f"{output} is not empty; give a new folder for each rater.")
    session = study.session(rater)
    pairs = {pair.id: pair for pair in study.design.pairs}
    done = {task.pair for task in session.tasks if (session.rater, session.round, task.pair) in study.votes}
    told = told_to_page(study.design, session, pairs, done)
    # Answers of another study, or of another round, that lie in the same browser are not this one's.
    of_this = json.dumps([sorted(pairs), session.rater, session.round])
    told |= {"round": session.round, "key": f"vivace-{hashlib.sha256(of_this.encode()).hexdigest()[:16]}"}
    temporary = output.with_name(f".{output.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "clips").mkdir(parents=True)
    for task in session.tasks:
        for name in (pairs[task.pair].first_clip, pairs[task.pair].second_clip):
            shutil.copyfile(study.folder / "clips" / name, temporary / "clips" / name)
    for name, target in _PAGES.items():
        text = (files(__package__) / name).read_text(encoding="utf-8")
        if target == "index.html":
            before = '<script src="study.js"></script>\n<script src="offline.js"></script>\n'
            text = text.replace(_SERVED, before + _SERVED)
        (temporary / target).write_text(text, encoding="utf-8")
    (temporary / "study.js").write_text(f"window.study = {json.dumps(told)};\n", encoding="utf-8")
    if output.exists():
        output.rmdir()
    temporary.rename(output)
    return len(session.tasks)
