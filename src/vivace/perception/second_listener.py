"""A second opinion on what is said: PocketSphinx with a grammar of the vocabulary, where the package is installed.

The recogniser of `vivace.perception.words` was trained on the world's own synthesiser, and a generator might please it
by what no other ear would take for words. PocketSphinx was trained on people. It is a poor judge of the world's robotic
voices by itself (on true speech of unseen voices, phrases of one to three words: word error rate .41, .22 where it is
told how many there are; n = 60 phrases), so that only its figures of generated clips beside those of true clips mean
something.

Source: ours; PocketSphinx (BSD) is an optional package with an English acoustic model of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate
from vivace.world.phones import WORDS

_MISSING = 'The second listener needs the package pocketsphinx; install it by pip install "vivace[second-listener]".'
# CMU's phones have no reduced vowel; this is the nearest.
_PHONES = {"AX": "AH"}
_PEAK, _HISS = 0.6, 1e-4  # level that sounds are brought to, and noise below them: it mistakes digital silence
_AROUND = 0.3  # seconds of quiet before and after, which it needs to settle
LONGEST = 3  # words of a phrase whose number is not told


def why_not() -> str | None:
    """Why there is no second listener here; None where there is one."""
    try:
        import pocketsphinx  # noqa: F401
    except ImportError:
        return _MISSING
    return None


class SecondListener:
    """PocketSphinx, which hears nothing but words of a vocabulary.

    Args:
        pronunciations: word -> its phones in ARPABET without stress; the world's vocabulary when not given.

    Raises:
        VivaceError: pocketsphinx is not installed, or a phone that it does not know.
    """

    def __init__(self, pronunciations: Mapping[str, Sequence[str]] = WORDS) -> None:
        missing = why_not()
        if missing is not None:
            raise VivaceError(missing)
        self.words = tuple(pronunciations)
        self._dictionary = "".join(
            f"{word} {' '.join(_PHONES.get(phone, phone) for phone in phones)}\n"
            for word, phones in pronunciations.items()
        )
        decoder = self._decoder()
        unknown = [word for word in self.words if decoder.lookup_word(word) is None]
        if unknown:
            raise VivaceError(f"PocketSphinx cannot say {unknown[0]!r}; spell it in the phones of the CMU dictionary.")

    def _decoder(self) -> Any:
        """A new one for each sound: one that has heard others hears the next otherwise."""
        from pocketsphinx import Config, Decoder

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.dict"
            path.write_text(self._dictionary)
            # "batch": normalised over the whole sound, not by what was heard of it so far.
            settings = {"dict": str(path), "lm": None, "loglevel": "FATAL", "cmn": "batch"}
            return Decoder(Config(**settings, samprate=float(SAMPLE_RATE)))

    def hear(self, audio: np.ndarray, sample_rate: int, count: int | None = None) -> list[str]:
        """The words of a sound, float [C, N] or [N] of any rate, in order of time; none where no phrase fits.

        Args:
            count: how many words there are, which makes it far surer, and which is the one thing of the prompt that it
                may be told; None for one to `LONGEST`.

        Raises:
            VivaceError: a count below 1.
        """
        if count is not None and count < 1:
            raise VivaceError(f"count {count!r} is no number of words; give one from 1, or none.")
        sound = at_detector_rate(audio, sample_rate).mean(axis=0)
        peak = float(np.abs(sound).max(initial=0.0))
        if peak == 0.0:
            return []
        quiet = np.zeros(round(_AROUND * SAMPLE_RATE))
        sound = np.concatenate((quiet, sound * (_PEAK / peak), quiet))
        sound = sound + _HISS * np.random.default_rng(0).standard_normal(len(sound))
        decoder = self._decoder()
        decoder.add_jsgf_string("said", self._grammar(count))
        decoder.activate_search("said")
        decoder.start_utt()
        decoder.process_raw(np.round(sound * 32767).astype(np.int16).tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        # Beside words there are silences, and "word(2)" for another pronunciation.
        heard = [part.word.partition("(")[0] for part in decoder.seg()]
        return [word for word in heard if word in self.words]

    def _grammar(self, count: int | None) -> str:
        """Phrases of so many words, as a Java speech grammar."""
        phrases = " | ".join(" ".join(["<word>"] * n) for n in ([count] if count else range(1, LONGEST + 1)))
        words = " | ".join(self.words)
        return f"#JSGF V1.0;\ngrammar said;\n<word> = {words};\npublic <said> = {phrases};\n"
