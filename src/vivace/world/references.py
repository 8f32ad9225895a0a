"""Reference utterances: the voice of a line saying something else, as a user's own recording would."""

from __future__ import annotations

import numpy as np

from vivace.world.phones import WORDS
from vivace.world.scene import Scene
from vivace.world.speech import SPEECH_RATE, speak
from vivace.world.splits import SPLITS

SHORTEST, LONGEST = 1.0, 3.0  # seconds
_EDGE = 0.08  # seconds of silence at both ends


def voice_references(scene: Scene) -> list[np.ndarray]:
    """For each line of the scene, in order, its speaker's voice saying other words.

    Each is mono float32 [N] at 16 kHz, from 1 to 3 s long, and a function of the scene's seed, split and the line's
    number. None of the scene's own words occurs. A scene without talk has no references, a clip of several shots those
    of its shots in order.
    """
    if scene.shots:
        return [reference for shot in scene.shots for reference in voice_references(shot.scene)]
    if scene.talk is None:
        return []
    said = {word for line in scene.talk.lines for word in line.words}
    others = [word for word in WORDS if word not in said]
    references = []
    for number, line in enumerate(scene.talk.lines):
        rng = np.random.default_rng([505, SPLITS.index(scene.split), scene.seed, number])
        voice = scene.talk.characters[line.speaker].voice
        wanted = float(rng.uniform(SHORTEST, 0.6 * LONGEST))
        parts = [np.zeros(round(_EDGE * SPEECH_RATE))]
        while (length := sum(map(len, parts)) / SPEECH_RATE) < wanted:
            # Towards the end single words, so that nothing has to be cut off.
            count = 1 if length > 0.9 else int(rng.integers(1, 3))
            words = tuple(str(word) for word in rng.choice(others, count, replace=False))
            parts.append(speak(words, voice, int(rng.integers(2**31))).sound)
            parts.append(np.zeros(round(float(rng.uniform(0.0, 0.15)) * SPEECH_RATE)))
        sound = np.concatenate([*parts, np.zeros(round(_EDGE * SPEECH_RATE))])
        level = float(rng.uniform(0.4, 1.2))
        references.append((sound * min(level, 0.95 / float(np.abs(sound).max()))).astype(np.float32))
    return references


def count_lines(scene: Scene) -> int:
    """How many lines are said in a scene, which is how many speech spans its captions have."""
    if scene.shots:
        return sum(count_lines(shot.scene) for shot in scene.shots)
    return len(scene.talk.lines) if scene.talk else 0
