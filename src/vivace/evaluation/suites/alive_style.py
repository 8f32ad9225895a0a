"""Prompts in the style of Alive-Bench, our own: 264 as people write them and 90 of characters, with 22 dimensions.

Of Alive-Bench it is told that it has 264 general prompts and 90 with reference characters, 22 metrics in six groups,
Chinese and English, and single speech, talk of several people, sports, daily life and animals. Prompts, dimensions and
rules of its votes are unpublished. The dimensions here are our choice, and a profile is no figure of Alive-Bench.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.suites.suite import Suite, SuiteItem

NOTE = (
    "Prompts of our own in the style of Alive-Bench, whose prompts, dimensions and votes are unpublished: no figure "
    "here is one of Alive-Bench. Proxies stand for a dimension and are not it; what is human only needs vivace study."
)
PARTS = ("general", "character")
LANGUAGES = ("en", "zh")
# Group -> dimension -> the metrics of ours that stand for it; none: human only.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "motion quality": {
        "motion_amplitude": ("picture_motion",),
        "motion_smoothness": ("picture_frozen", "picture_flicker"),
        "physics": (),
        "body_and_face": (),
    },
    "visual aesthetic": {
        "composition": ("aesthetic_v2_5", "aesthetic_laion"),
        "clarity": ("picture_sharpness", "musiq", "maniqa"),
        "realism": (),
        "light_and_colour": ("picture_contrast", "picture_crushed", "picture_blown"),
    },
    "visual prompt following": {
        "subject_and_attributes": (),
        "action_order": (),
        "scene_and_camera": (),
        "count_and_relations": (),
    },
    "audio quality": {
        "cleanliness": ("sound_clipped", "sound_floor", "audiobox_pq", "dnsmos_bak"),
        "timbre": ("audiobox_ce",),
        "pronunciation": ("wer_plain", "cer", "dnsmos_sig"),
        "emotion": (),
    },
    "audio prompt following": {
        "speech_content": ("wer_plain", "cer"),
        "speaker_and_language": (),
        "events_and_music": ("clap_score",),
    },
    "audio-video sync": {
        "lips": ("sync_c_any_track", "sync_d_any_track"),
        "events": ("av_align_own_code", "av_align_own_mova", "ib_score"),
        "who_speaks": (),
    },
}
DIMENSIONS: dict[str, tuple[str, ...]] = {name: proxies for group in GROUPS.values() for name, proxies in group.items()}
_SPOKEN = re.compile(r"<S>(.*?)<E>")


def alive_style_suite(part: str | None = None, language: str | None = None) -> Suite:
    """The suite, or a part of it.

    Args:
        part: "general" or "character". language: "en" or "zh". None is both.

    Raises:
        VivaceError: another part or language.
    """
    for value, known, what in ((part, PARTS, "part"), (language, LANGUAGES, "language")):
        if value is not None and value not in known:
            raise VivaceError(
                f"alive-style has no {what} {value!r}; use {' or '.join(known)}, or leave it out for both."
            )
    looks = {row["id"]: row for row in rows("characters")}
    items = [
        _item(row, name, number, looks)
        for name in PARTS
        if part in (None, name)
        for number, row in enumerate(rows(name))
        if language in (None, row["language"])
    ]
    return Suite("alive-style", "vivace-alive-style-2", NOTE, tuple(items), dimensions=DIMENSIONS)


def rows(name: str) -> list[dict[str, Any]]:
    """The data as they are written: "general", "character" or "characters"."""
    text = (files("vivace.evaluation.suites") / f"alive_style_{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _item(row: Mapping[str, Any], part: str, seed: int, looks: Mapping[str, Mapping[str, str]]) -> SuiteItem:
    prompt = str(row["prompt"])
    spoken = _SPOKEN.findall(prompt)
    texts = {"said": " ".join(spoken)} if spoken else {}
    if "sound" in row:
        texts["audio_prompt"] = row["sound"]
    if "character" in row:
        prompt = _introduced(prompt, looks[row["character"]], bool(spoken))
    return SuiteItem(
        id=f"{part}/{row['id']}",
        group=f"{part}-{row['language']}",
        prompt=prompt,
        seed=seed,
        language=row["language"],
        texts=texts,
        tags=tuple(row["dimensions"]),
    )


def _introduced(prompt: str, character: Mapping[str, str], speaks: bool) -> str:
    """The prompt behind who the character is, which stands for the reference picture that a model may not take."""
    if character["language"] == "zh":
        return character["look"] + (f"声音：{character['voice']}。" if speaks else "") + prompt
    return f"{character['look']} " + (f"The voice is {character['voice']}. " if speaks else "") + prompt
