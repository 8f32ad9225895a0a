"""SenseVoice and Paraformer through an installation of funasr: what is asked, what is made of the answer."""

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.perception.published.tiny_networks import sound

from vivace.errors import VivaceError
from vivace.evaluation.metric import Sample
from vivace.evaluation.published import paraformer_metrics, published_metrics, sensevoice_metrics
from vivace.media import Clip
from vivace.perception.published.funasr_speech import PARAFORMER_ASKED, SENSEVOICE_ASKED, FunasrSpeech
from vivace.perception.published.weights import PUBLISHED


class Recogniser:
    """Says the same of every sound that is not silent, and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[dict[str, Any]] = []

    def generate(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return [{"key": "a", "text": self.text}] if np.abs(asked["input"]).max() > 0 else []


def without_marks(text: str) -> str:
    return text.rpartition("|>")[2]


def heard(text: str, asked: Any = SENSEVOICE_ASKED, tidy: Callable[[str], str] = without_marks) -> FunasrSpeech:
    return FunasrSpeech(Recogniser(text), asked, tidy)


def sample(said: str, audio: np.ndarray | None = None) -> Sample:
    audio = sound(1.0, 22050) if audio is None else audio
    return Sample(said, Clip(None, Fraction(24), audio, 22050), refs={"said": said})


def test_sensevoice_is_asked_as_verse_bench_asks_it() -> None:
    network = heard("<|en|><|NEUTRAL|><|Speech|><|withitn|>Two blue, five!")
    assert network(sound(1.0, 22050), 22050) == "Two blue, five!"
    (asked,) = network.model.asked
    assert asked.pop("input").shape == (16000,)
    assert asked == dict(SENSEVOICE_ASKED)
    assert asked["use_itn"] is True
    assert network(np.zeros((1, 800), np.float32), 16000) == ""
    network.to("cuda:1")  # a model that was handed over stays where it is
    assert str(network.device) == "cpu"
    with pytest.raises(VivaceError, match="gives no text"):
        FunasrSpeech(type("Odd", (), {"generate": lambda self, **asked: "text"})(), {})(sound(0.1), 16000)


def test_words_heard_by_sensevoice_are_counted_by_both_rules() -> None:
    metrics = sensevoice_metrics(heard("<|en|>two blue, five"))
    assert tuple(metric.name for metric in metrics) == PUBLISHED["sensevoice"].metrics
    lines = {metric.name: metric.update(sample("two blue five")) for metric in metrics}
    assert lines["wer_verse_bench_sensevoice"]["value"] == pytest.approx(1 / 3)  # "blue," is another word
    assert lines["wer_plain_sensevoice"]["value"] == 0.0
    assert metrics[1].update(sample("...")) == {"undefined": "nothing is to be said"}
    silent = sample("four words are due", np.zeros((1, 22050), np.float32))
    assert metrics[0].update(silent)["value"] == 1.0


def test_characters_heard_by_paraformer() -> None:
    network = heard("今天天汽好", PARAFORMER_ASKED, str)
    (metric,) = paraformer_metrics(network)
    assert (metric.name,) == PUBLISHED["paraformer"].metrics
    assert metric.update(sample("今天，天气好。"))["value"] == pytest.approx(1 / 5)
    assert metric.update(sample("good day")) == {"undefined": "nothing is to be said in Chinese"}
    assert network.model.asked[0]["batch_size_s"] == 300


def test_without_the_package_both_are_skipped_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "funasr", None)
    metrics, skipped = published_metrics({"sensevoice": tmp_path, "paraformer": tmp_path})
    assert not metrics
    for key in ("sensevoice", "paraformer"):
        reasons = {entry.reason for entry in skipped if entry.key == key}
        assert len(reasons) == 1
        assert "funasr, not installed" in reasons.pop()


def test_an_installation_is_given_folders_and_looks_for_nothing_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "funasr"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class AutoModel:\n"
        "    def __init__(self, **told):\n"
        "        if 'broken' in told['model']: raise RuntimeError('no config')\n"
        "        self.told = told\n"
    )
    (package / "utils" / "__init__.py").touch()
    (package / "utils" / "postprocess_utils.py").write_text(
        "def rich_transcription_postprocess(text): return text.rpartition('|>')[2]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in ("funasr", "funasr.utils", "funasr.utils.postprocess_utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(VivaceError, match="has no folder 'fsmn-vad'"):
        FunasrSpeech.sensevoice(tmp_path)
    (tmp_path / "fsmn-vad").mkdir()
    network = FunasrSpeech.sensevoice(tmp_path)
    assert network.model.told["vad_model"] == str(tmp_path / "fsmn-vad")
    assert network.model.told["disable_update"] is True
    assert network.tidy("<|en|>word") == "word"
    # The package places its networks as it reads them.
    first = network.model
    assert first.told["device"] == str(network.device) == "cpu"
    network.to("cpu")
    assert network.model is first
    network.to("cuda:1")
    assert network.model.told == {**first.told, "device": "cuda:1"}
    assert str(network.device) == "cuda:1"
    assert FunasrSpeech.paraformer(tmp_path).model.told["model"] == str(tmp_path)
    (tmp_path / "broken").mkdir()
    with pytest.raises(VivaceError, match="cannot be read"):
        FunasrSpeech.paraformer(tmp_path / "broken")
