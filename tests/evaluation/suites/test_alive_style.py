import re
from collections import Counter
from typing import Any

import pytest

from vivace.conditioning.prompts import check_prompt
from vivace.errors import VivaceError
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.evaluation.suites.alive_style import DIMENSIONS, GROUPS, alive_style_suite, rows
from vivace.perception.published.weights import PUBLISHED

GENERAL, CHARACTER, CHARACTERS = (rows(name) for name in ("general", "character", "characters"))
EVERY = [*GENERAL, *CHARACTER]
SPOKEN = re.compile(r"<S>(.*?)<E>")


def bare(text: str) -> str:
    return re.sub(r"\W", "", text.lower())


def is_chinese(row: dict[str, Any]) -> bool:
    # What a foreign guest says may be English in a Chinese prompt, and the other way round.
    told = SPOKEN.sub("", row["prompt"])
    return sum("一" <= sign <= "鿿" for sign in told) > 0.5 * len(told)


def test_there_are_as_many_prompts_as_in_alive_bench_half_of_them_chinese() -> None:
    assert (len(GENERAL), len(CHARACTER)) == (264, 90)
    for part in (GENERAL, CHARACTER):
        assert Counter(row["language"] for row in part) == {"en": len(part) // 2, "zh": len(part) // 2}
    assert all(is_chinese(row) == (row["language"] == "zh") for row in EVERY)


def test_ids_and_prompts_are_unique() -> None:
    for values in ([row["id"] for row in EVERY], [bare(row["prompt"]) for row in EVERY]):
        assert len(set(values)) == len(values)
    sounds = [bare(row["sound"]) for row in EVERY if "sound" in row]
    assert len(set(sounds)) > 0.95 * len(sounds)


def test_no_two_prompts_are_of_one_template() -> None:
    # The first words of a prompt, and any five in a row, belong to at most two prompts.
    for language, size in (("en", 5), ("zh", 9)):
        told = [row["prompt"] for row in EVERY if row["language"] == language]
        parts = [text.lower().split() if language == "en" else list(re.sub(r"\W", "", text)) for text in told]
        runs = Counter(
            run for words in parts for run in {tuple(words[n : n + size]) for n in range(len(words) - size + 1)}
        )
        shared = [run for run, count in runs.items() if count > 2]
        assert not shared


def test_spans_are_balanced_and_every_prompt_can_be_read() -> None:
    for row in EVERY:
        assert check_prompt(row["prompt"])
        assert row["prompt"].count("<S>") == row["prompt"].count("<E>") == len(SPOKEN.findall(row["prompt"]))


def test_prompts_fit_a_model_that_reads_256_bytes() -> None:
    # A token for each byte, one for the speaker behind every <S>, and one for the end.
    for item in alive_style_suite().items:
        assert len(item.prompt.encode()) + item.prompt.count("<S>") + 1 <= 256, item.id


def test_dimensions_are_those_of_six_groups_and_fit_the_prompt() -> None:
    assert [len(group) for group in GROUPS.values()] == [4, 4, 4, 4, 3, 3]
    assert len(DIMENSIONS) == 22
    for row in EVERY:
        assert 2 <= len(row["dimensions"]) <= 5
        assert len(set(row["dimensions"])) == len(row["dimensions"])
        assert set(row["dimensions"]) <= set(DIMENSIONS)
        if {"lips", "speech_content", "pronunciation"} & set(row["dimensions"]):
            assert "<S>" in row["prompt"], row["id"]
    for language in ("en", "zh"):
        probed = Counter(name for row in EVERY if row["language"] == language for name in row["dimensions"])
        assert min(probed[name] for name in DIMENSIONS) >= 10
    sounds = [row for row in GENERAL if row["scene"] == "music" or "events_and_music" in row["dimensions"]]
    assert all("sound" in row for row in sounds)


def test_proxies_exist() -> None:
    known = {metric.name for metric in clip_metrics()} | {name for w in PUBLISHED.values() for name in w.metrics}
    assert {proxy for proxies in DIMENSIONS.values() for proxy in proxies} <= known


def test_characters_are_told_and_each_has_five_prompts() -> None:
    assert Counter(row["character"] for row in CHARACTER) == {row["id"]: 5 for row in CHARACTERS}
    looks = {row["id"]: row for row in CHARACTERS}
    for item in alive_style_suite(part="character").items:
        character = looks[item.id.removeprefix("character/")[3:].rsplit("-", 1)[0]]
        assert item.prompt.startswith(character["look"])
        assert (character["voice"] in item.prompt) == ("said" in item.texts)


def test_a_part_may_be_asked_for() -> None:
    assert len(alive_style_suite().items) == 354
    part = alive_style_suite(part="general", language="zh").items
    assert {item.group for item in part} == {"general-zh"}
    spoken = next(item for item in part if item.id == "general/zh-dialogue-08")
    assert spoken.texts["said"] == "Where is gate twelve? 前面左转，走到底就是。"
    for wrong in ({"part": "sports"}, {"language": "fr"}):
        with pytest.raises(VivaceError, match="alive-style has no"):
            alive_style_suite(**wrong)
