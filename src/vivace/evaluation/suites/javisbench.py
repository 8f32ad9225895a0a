"""JavisBench (JavisDiT, arXiv 2503.23377): 10,140 captions, or 1,000 of them, and its figures.

The originals' sound and pictures are not given away, only features of them, so that FVD and KVD have nothing to be
measured against.
"""

from __future__ import annotations

import csv
from pathlib import Path

from vivace.errors import VivaceError
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem

COLUMNS = (
    Column("FVD", "fvd_videogpt", rule="I3D, 16 pictures; the true clips are not given away"),
    Column("KVD", "kvd_videogpt", rule="I3D, 16 pictures; the true clips are not given away"),
    Column("FAD", None, rule="AudioCLIP, x10^4"),
    Column("VQ", None, rule="VideoAlign"),
    Column("MQ", None, rule="VideoAlign"),
    Column(
        "AQ",
        None,
        terms=tuple((f"audiobox_{axis}", 0.25) for axis in ("pq", "pc", "ce", "cu")),
        rule="the mean of Audiobox's four axes",
    ),
    Column("IB-AV", "ib_score"),
    Column("IB-TV", "ib_tv"),
    Column("IB-TA", "ib_ta", rule="the whole caption as the text of the sound, as published"),
    Column("CLIP", "clip_score", rule="48 pictures of each clip"),
    Column("CLAP", "clap_score", rule="the whole caption as the text of the sound, as published"),
    Column("CAVP", "cavp_score", rule="whole seconds of a clip, four vectors each"),
    Column("AVHScore", "avh_score"),
    Column("JavisScore", "javis_score", rule="windows of 2 s, 0.5 s apart"),
    Column("AV-Align", "av_align_javisbench", rule="from both sides; librosa's onsets, Farneback's flow"),
    Column("AV-Align_code", "av_align_code", rule="one-sided, as the published code counts; the same peaks"),
    Column(
        "AV-Align_own_peaks", "av_align_own_javisbench", rule="as AV-Align, over our onsets and flow", twin="AV-Align"
    ),
    Column("DeSync", "desync_javisbench", rule="all windows of 4.8 s; clips of 8 s there"),
)


def javisbench_suite(data: Path) -> Suite:
    """The suite of a list.

    Args:
        data: JavisBench.csv or JavisBench-mini.csv (with a column `text`), or the folder that holds one of them; of
            both the mini one is taken. The clip of row n is sample_000n, from 0.

    Raises:
        VivaceError: no list, one without the column, or a row without a caption.
    """
    found = [data / name for name in ("JavisBench-mini.csv", "JavisBench.csv")] if data.is_dir() else [data]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise VivaceError(f"There is no JavisBench list at {str(data)!r}; give JavisBench.csv or JavisBench-mini.csv.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VivaceError(f"List {str(path)!r} cannot be read ({error}); give the original file.") from error
    items = []
    for number, row in enumerate(rows):
        text = (row.get("text") or "").strip()
        if not text:
            raise VivaceError(f"Row {number + 1} of {str(path)!r} has no text; give JavisBench's own list.")
        name = f"sample_{number:04d}"
        items.append(SuiteItem(name, "javisbench", text, seed=number, texts={"audio_prompt": text}))
    part = path.stem.lower()
    return Suite("javisbench", part, "JavisBench's captions.", tuple(items), columns=COLUMNS)
