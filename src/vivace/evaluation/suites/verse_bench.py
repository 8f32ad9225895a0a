"""Verse-Bench (UniVerse-1, arXiv 2509.06155): its folder, and the figures that three groups publish under its name.

The sets hold 205 images (set 1), 295 clips with their sound (set 2) and 100 talks (set 3). What the benchmark's own
code computes differs in places from what its figures are called; such a figure keeps its published name here, says in
its rule what it is, and has a corrected twin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.suites.folder import read_json_lines
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem
from vivace.evaluation.suites.verse_bench_overall import overall_score

SETS = ("set1", "set2", "set3")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_SPEAKING, _SOUNDING = ("said",), ("audio_prompt",)  # texts that an item must have to count
_SIDE, _HEARD = ("set1", "set2"), "heard by Whisper here and by SenseVoiceSmall there"
_PAIR = "|e1 - e2|² + (sd1 - sd2)² of each pair of CLAP vectors, 0 to 4; no Fréchet distance"
_FACES = "faces are those of your detector (--faces)"
_ENDS = "of the first and the last 4.8 s here; which part the benchmark takes is not stated"
_AS = (("aesthetic_v2_5", 1 / 30), ("musiq", 1 / 300), ("maniqa", 1 / 3))
_TWICE = (
    Column(
        "WER",
        "wer_verse_bench",
        needs=_SPEAKING,
        rule=f"mean of utterances, punctuation kept as part of words; {_HEARD}",
    ),
    Column(
        "WER_norm",
        "wer_plain",
        needs=_SPEAKING,
        rule=f"without punctuation, Chinese by characters; {_HEARD}",
        twin="WER",
    ),
    Column(
        "WER_sensevoice",
        "wer_verse_bench_sensevoice",
        needs=_SPEAKING,
        rule="as WER, heard by SenseVoiceSmall as there",
        twin="WER",
    ),
    Column(
        "WER_sensevoice_norm",
        "wer_plain_sensevoice",
        needs=_SPEAKING,
        rule="as WER_norm, heard by SenseVoiceSmall",
        twin="WER",
    ),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "official": (
        Column(
            "AS: aesthetic",
            "aesthetic_v2_5",
            pooling="sets",
            rule="a part of AS",
        ),
        Column("AS: MUSIQ", "musiq", pooling="sets", rule="a part of AS"),
        Column("AS: MANIQA", "maniqa", pooling="sets", rule="20 crops of each picture, unseeded there and seeded here"),
        Column(
            "AS", None, terms=_AS, pooling="sets", rule="a clip's aesthetic / 10, MUSIQ / 100 and MANIQA, their mean"
        ),
        Column("AS_items", None, terms=_AS, rule="over all clips alike, whichever set they are of", twin="AS"),
        Column("ID", "id_verse_bench", rule="DINOv3's token -2, a patch at the picture's end"),
        Column("ID_cls", "id_cls", rule="DINOv3's class token", twin="ID"),
        Column("MS", "ms_verse_bench", rule="mean |flow| by RAFT; in the benchmark's code, not among its figures"),
        Column("FD", "clap_pair_sqdist", groups=("set2",), needs=_SOUNDING, rule=_PAIR),
        Column("KL", "kl_verse_bench", groups=("set2",), rule="PaSST, 1e-6 inside the logarithm of the generated side"),
        Column("CS", "clap_score", groups=_SIDE, needs=_SOUNDING),
        Column("CE", "audiobox_ce", groups=_SIDE),
        Column("CU", "audiobox_cu", groups=_SIDE),
        Column("PC", "audiobox_pc", groups=_SIDE, rule="lower counts as better in the overall score"),
        Column("PQ", "audiobox_pq", groups=_SIDE),
        *_TWICE,
        Column(
            "LSE-C",
            "sync_c_verse_bench",
            needs=_SPEAKING,
            rule=f"of items with speech; tracks of |offset| 14 or more are dropped, which flatters; {_FACES}",
        ),
        Column(
            "LSE-C_all",
            "sync_c_any_track",
            needs=_SPEAKING,
            rule=f"of items with speech; all tracks, of any length and offset; {_FACES}",
            twin="LSE-C",
        ),
        Column(
            "AV-A",
            "av_a_signed",
            groups=_SIDE,
            needs=_SOUNDING,
            rule=f"of items with an audio prompt; mean of signed offsets: early and late cancel; {_ENDS}",
        ),
        Column(
            "AV-A_abs",
            "desync",
            groups=_SIDE,
            needs=_SOUNDING,
            rule=f"of items with an audio prompt; mean of absolute offsets; {_ENDS}",
            twin="AV-A",
        ),
    ),
    "nava": (
        Column("Sync-C", "sync_c", rule=f"which pipeline NAVA used is not stated; {_FACES}"),
        Column("Sync-D", "sync_d", rule=f"least mean distance over shifts; {_FACES}"),
        Column("IB", "ib_score"),
        Column(
            "Video quality",
            None,
            terms=(*((name, weight / 2) for name, weight in _AS), ("id_verse_bench", 0.5)),
            pooling="sets",
            rule="(AS + ID) / 2, by its form; pooled as AS is",
        ),
        *_TWICE,
        Column("PQ", "audiobox_pq", groups=_SIDE),
        Column("FD", "clap_pair_sqdist", groups=("set2",), rule=f"by its scale {_PAIR}"),
    ),
    "mova": (
        Column("IS", "is_panns", pooling="sets", rule="by whose classes is not stated; PANNs as in av-benchmark"),
        Column("DNSMOS", "dnsmos_ovrl", groups=("set3",), rule="which of its figures is not stated; P.835 overall"),
        Column("DeSync", "desync", pooling="sets", rule="mean absolute offset of the first and the last 4.8 s"),
        Column("IB", "ib_score", pooling="sets"),
        Column("LSE-D", "sync_d", groups=("set3",), rule=_FACES),
        Column("LSE-C", "sync_c", groups=("set3",), rule=_FACES),
        Column(
            "LSE-D_wrapper",
            "sync_d_mean_of_shifts",
            groups=("set3",),
            rule="mean over all 31 shifts, as the benchmark's wrapper returns it (about 13 where LSE-D is about 8)",
        ),
        Column(
            "cpCER", "cp_cer", rule="27 clips there; transcripts by speaker are yours (--transcripts); mean of clips"
        ),
        Column("AV-Align", "av_align_mova", rule="one to one within a frame; librosa's onsets, Farneback's flow"),
        Column(
            "AV-Align_own_peaks", "av_align_own_mova", rule="as AV-Align, over our onsets and flow", twin="AV-Align"
        ),
        Column("CLAP", "clap_score"),
    ),
}
PROTOCOLS = tuple(COLUMNS)


def verse_bench_suite(folder: Path, protocol: str = "official", prompts: Path | None = None) -> Suite:
    """The suite in the benchmark's own folder.

    Args:
        folder: with three folders whose names begin with set1, set2 and set3 (in any case); in each `ID.json` with
            `video_prompt`, `audio_prompt` (a list) and `speech_prompt` (`speaker`, `text`), a picture ID.jpg, in set 2
            also ID.wav.
        protocol: "official", "nava" or "mova".
        prompts: a folder with set1.jsonl, set2.jsonl and set3.jsonl of `prompt` and `image_path`, such as NAVA's
            rewritten ones; they replace what the model reads and nothing else: what counts as said, and which items a
            figure is of, stays as the benchmark's own files have it, by which its WER is defined.

    Raises:
        VivaceError: another protocol, no such folder, a file that is missing or of another form.
    """
    if protocol not in COLUMNS:
        raise VivaceError(f"Verse-Bench has no protocol {protocol!r}; use one of {', '.join(PROTOCOLS)}.")
    if not folder.is_dir():
        raise VivaceError(f"There is no folder {str(folder)!r}; give Verse-Bench's own to --data.")
    items: list[SuiteItem] = []
    for name in SETS:
        part = next(
            (path for path in sorted(folder.iterdir()) if path.is_dir() and _plain(path.name)[:4] == name), None
        )
        if part is None:
            continue
        rewritten = {} if prompts is None else _rewritten(prompts / f"{name}.jsonl")
        items += [_item(path, name, len(items) + n, rewritten) for n, path in enumerate(sorted(part.glob("*.json")))]
    if not items:
        raise VivaceError(
            f"Folder {str(folder)!r} has no set1, set2 or set3 with ID.json in it; give Verse-Bench's own."
        )
    note = "Verse-Bench's prompts" + (
        ", put together for us from picture, sound and speech." if prompts is None else ", rewritten by somebody else."
    )
    tag = f"verse-bench-{protocol}" + ("" if prompts is None else "-rewritten")
    overall = overall_score if protocol == "official" else None
    return Suite("verse-bench", tag, note, tuple(items), columns=COLUMNS[protocol], overall=overall)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _item(path: Path, group: str, seed: int, rewritten: Mapping[str, str]) -> SuiteItem:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        seen = str(told["video_prompt"]).strip()
        heard = next((str(text).strip() for text in told.get("audio_prompt") or () if str(text).strip()), "")
        speech = told.get("speech_prompt") or {}
        speaker, said = (str(speech.get(key) or "").strip() for key in ("speaker", "text"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VivaceError(f"Item {str(path)!r} is none of Verse-Bench ({error!r}); give the original file.") from error
    texts = {name: text for name, text in (("audio_prompt", heard), ("said", said)) if text}
    files = {"image": image} if (image := _beside(path, _IMAGES)) is not None else {}
    if group == "set2" and (sound := _beside(path, (".wav",))) is not None:
        files["sound"] = sound
    prompt = rewritten.get(path.stem) or _prompt(seen, heard, speaker, said)
    return SuiteItem(f"{group}/{path.stem}", group, prompt, seed=seed, language="en", texts=texts, files=files)


def _prompt(seen: str, heard: str, speaker: str, said: str) -> str:
    """One prompt for a model that reads one (ours): what is seen, who says what, what is heard."""
    parts = [seen]
    if said:
        parts.append(f"{speaker or 'Somebody'} says <S>{said}<E>")
    if heard:
        parts.append(f"Sound: {heard}")
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts)


def _beside(path: Path, suffixes: tuple[str, ...]) -> Path | None:
    return next((found for suffix in suffixes if (found := path.with_suffix(suffix)).is_file()), None)


def _rewritten(path: Path) -> dict[str, str]:
    prompts: dict[str, str] = {}
    rows: list[Any] = read_json_lines(path)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("prompt", "image_path")):
            raise VivaceError(f"Entry {number} of {str(path)!r} lacks prompt or image_path; give both as text.")
        name = Path(row["image_path"]).stem
        if name in prompts:
            raise VivaceError(f"File {str(path)!r} has two prompts for picture {name!r}; leave one.")
        prompts[name] = row["prompt"]
    return prompts
