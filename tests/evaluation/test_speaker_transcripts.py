import json
from pathlib import Path

import pytest

from vivace.errors import VivaceError
from vivace.evaluation.metric import Sample
from vivace.evaluation.speaker_transcripts import TRANSCRIPTS, read_transcripts, speaker_transcript_metrics
from vivace.evaluation.suites.suite import SuiteItem


def sample(name: str, folder: Path, said: list[str], heard: list[str]) -> Sample:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"said": said, "heard": heard}))
    return Sample(name, refs={TRANSCRIPTS: SuiteItem(name, "talk", "", files={TRANSCRIPTS: path}).read(TRANSCRIPTS)})


def test_speakers_are_matched_and_the_rates_are_averaged(tmp_path: Path) -> None:
    (metric,) = speaker_transcript_metrics()
    swapped = metric.update(sample("swapped", tmp_path, ["abcd", "xyz"], ["xyz", "abcd"]))
    assert swapped["value"] == 0.0
    # One of four letters is another, and a third voice says two letters that nobody should: 3 errors of 6.
    wrong = metric.update(sample("wrong", tmp_path, ["abcd", "xy"], ["xy", "abcc", "no"]))
    assert wrong["value"] == pytest.approx(0.5)
    assert "undefined" in metric.update(sample("silent", tmp_path, [" "], ["abc"]))
    assert "undefined" in metric.update(Sample("none"))
    result = metric.compute()
    assert (result.value, result.n) == (pytest.approx(0.25), 2)
    assert result.reasons == {"nothing is to be said": 1, "no transcripts is given": 1}


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", "[" * 100_000, '{"said": ["a"]}', '{"said": "a", "heard": ["a"]}']
)
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(VivaceError, match="cannot be read"):
        read_transcripts(tmp_path / "a.json")
