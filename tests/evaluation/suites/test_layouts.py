import json
import wave
from pathlib import Path
from typing import Any

import pytest

from vivace.errors import VivaceError
from vivace.evaluation.av_align import FORMS
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.evaluation.speaker_transcripts import speaker_transcript_metrics
from vivace.evaluation.suites.javisbench import COLUMNS as JAVISBENCH
from vivace.evaluation.suites.javisbench import javisbench_suite
from vivace.evaluation.suites.seed_tts import COLUMNS as SEED_TTS
from vivace.evaluation.suites.seed_tts import seed_tts_suite
from vivace.evaluation.suites.verse_bench import COLUMNS, verse_bench_suite
from vivace.perception.published.weights import PUBLISHED

SPEECH = {"speaker": "The woman", "text": "Mind the gap."}


def verse_bench(folder: Path) -> Path:
    def item(path: str, **fields: Any) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(fields))

    item("Set1-I/00001.json", video_prompt="A train arrives", audio_prompt=["brakes"], speech_prompt=SPEECH)
    item(
        "Set1-I/00002.json", video_prompt="A quiet lake.", audio_prompt=[""], speech_prompt={"speaker": "", "text": ""}
    )
    item("Set2-V/00001.json", video_prompt="A dog", audio_prompt=["barking", "rain"], speech_prompt=None)
    item("Set3-Ted/00001.json", video_prompt="A talk", audio_prompt=[], speech_prompt=SPEECH)
    (folder / "Set1-I/00001.jpg").touch()
    (folder / "Set2-V/00001.wav").touch()
    return folder


def sound(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * round(16000 * seconds)))


def test_verse_bench_in_its_own_layout(tmp_path: Path) -> None:
    suite = verse_bench_suite(verse_bench(tmp_path))
    items = {item.id: item for item in suite.items}
    assert list(items) == ["set1/00001", "set1/00002", "set2/00001", "set3/00001"]
    first = items["set1/00001"]
    assert first.prompt == "A train arrives. The woman says <S>Mind the gap.<E>. Sound: brakes."
    assert first.texts == {"said": "Mind the gap.", "audio_prompt": "brakes"}
    assert first.files["image"].name == "00001.jpg"
    assert items["set1/00002"].texts == {}  # an empty audio prompt is none
    assert items["set2/00001"].files["sound"].name == "00001.wav"
    assert items["set2/00001"].texts == {"audio_prompt": "barking"}  # the first one
    assert suite.protocol == "verse-bench-official"


def test_verse_bench_with_rewritten_prompts(tmp_path: Path) -> None:
    data, prompts = verse_bench(tmp_path / "data"), tmp_path / "prompts"
    prompts.mkdir()
    for name in ("set1", "set2", "set3"):
        row = {"prompt": f"{name}: <S>hello<E>", "image_path": f"verse_bench_data/{name}/00001.jpg"}
        (prompts / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    suite = verse_bench_suite(data, "nava", prompts)
    assert suite.items[0].prompt == "set1: <S>hello<E>"
    assert suite.items[0].texts["said"] == "Mind the gap."  # the benchmark's own text is what counts as said
    assert suite.items[1].prompt == "A quiet lake."
    assert suite.protocol == "verse-bench-nava-rewritten"
    (prompts / "set2.jsonl").write_text('{"prompt": "x"}')
    with pytest.raises(VivaceError, match="image_path"):
        verse_bench_suite(data, "nava", prompts)


def test_what_is_no_verse_bench_is_refused(tmp_path: Path) -> None:
    for arguments, problem in (
        ((tmp_path, "paper"), "no protocol"),
        ((tmp_path / "none",), "no folder"),
        ((tmp_path,), "no set1"),
    ):
        with pytest.raises(VivaceError, match=problem):
            verse_bench_suite(*arguments)
    (tmp_path / "set1").mkdir()
    for content in ('{"prompt": "A train"}', "[" * 100_000):
        (tmp_path / "set1" / "1.json").write_text(content)
        with pytest.raises(VivaceError, match="none of Verse-Bench"):
            verse_bench_suite(tmp_path)


def test_columns_name_metrics_that_exist_and_twins_that_exist() -> None:
    known = {metric.name for metric in clip_metrics()} | {name for w in PUBLISHED.values() for name in w.metrics}
    known |= {metric.name for metric in speaker_transcript_metrics()} | {f"av_align_{form}" for form in FORMS}
    for columns in (*COLUMNS.values(), *SEED_TTS.values(), JAVISBENCH):
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        for column in columns:
            assert set(column.metrics) <= known
            assert (column.made_of is None) == (not column.metrics)
            assert column.twin is None or column.twin in names
    quirks = {column.twin for column in COLUMNS["official"] if column.twin}
    assert quirks == {"AS", "ID", "WER", "LSE-C", "AV-A"}


def test_seed_tts_lists_of_every_length(tmp_path: Path) -> None:
    sound(tmp_path / "en" / "wavs" / "voice.wav", 4.0)
    sound(tmp_path / "en" / "true.wav", 1.0)
    (tmp_path / "en" / "meta.lst").write_text(
        "one|Plain text\n"
        "two.wav|With a voice|wavs/voice\n"
        "three|eight ch|wavs/voice.wav|sixteen characte\n"
        "four|eight ch|wavs/voice.wav|ha|true.wav\n"
    )
    suite = seed_tts_suite(tmp_path)
    items = {item.id: item for item in suite.items}
    assert list(items) == ["one", "two", "three", "four"]
    assert items["one"].files == {}
    assert items["two"].files["voice"].name == "voice.wav"
    assert items["three"].prompt == "A person says <S>sixteen characte<E>"
    assert items["three"].seconds == 8.0  # twice as many characters as the voice says in 4 s
    assert items["four"].seconds == 1.0
    assert items["four"].files["sound"].name == "true.wav"
    assert suite.suffix == ".wav"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("one", "1 parts"),
        ("a|b|c|d|e|f", "6 parts"),
        ("|text", "no id"),
        ("one|text|gone.wav", "does not exist"),
        ("one|text\none|text", "twice"),
        ("\n", "no items"),
    ],
)
def test_seed_tts_lists_that_are_wrong(lines: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh" / "meta.lst").write_text(lines)
    with pytest.raises(VivaceError, match=problem):
        seed_tts_suite(tmp_path, "zh")
    with pytest.raises(VivaceError, match="cannot be read"):
        seed_tts_suite(tmp_path, "en")
    with pytest.raises(VivaceError, match="no language"):
        seed_tts_suite(tmp_path, "fr")


def test_javisbench_in_its_own_layout(tmp_path: Path) -> None:
    (tmp_path / "JavisBench.csv").write_text('path,text\nx.mp4,"A storm, far away"\ny.mp4,Two birds\n')
    suite = javisbench_suite(tmp_path)
    assert [item.id for item in suite.items] == ["sample_0000", "sample_0001"]
    assert suite.items[0].prompt == "A storm, far away"
    assert suite.protocol == "javisbench"
    (tmp_path / "JavisBench-mini.csv").write_text("path,caption\nx.mp4,A storm\n")
    with pytest.raises(VivaceError, match="no text"):
        javisbench_suite(tmp_path)
    with pytest.raises(VivaceError, match="no JavisBench list"):
        javisbench_suite(tmp_path / "nowhere")
