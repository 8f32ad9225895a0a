import numpy as np

from vivace.perception.voices import FEATURES, voice_features
from vivace.training.utterances import SpeechSource, speech


def test_loudness_does_not_matter_to_the_features() -> None:
    said = speech(SpeechSource(voices=2, utterances=2))[0]
    once, louder = voice_features(said.sound), voice_features(4 * said.sound)
    assert once.shape == (len(said.sound) // 160 + 1, FEATURES)
    np.testing.assert_allclose(once, louder, atol=1e-3)


def test_features_of_nothing_are_finite() -> None:
    for sound in (np.zeros(1600), np.zeros(1), np.full(1600, 0.3)):
        assert np.isfinite(voice_features(sound)).all()
