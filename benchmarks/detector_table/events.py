"""Detectors of events, stretches and names on true clips, clean and degraded."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from benchmarks.detector_table.conditions import PICTURES, SOUNDS, degraded_pictures, degraded_sound, drawn
from benchmarks.detector_table.tally import Tallies

from vivace.evaluation.attributes import attribute_metrics
from vivace.evaluation.metric import Sample, Undefined
from vivace.evaluation.prompts import WorldItem
from vivace.media import Clip
from vivace.perception.camera import camera_motion
from vivace.perception.cuts import detect_cuts
from vivace.perception.fades import detect_fades
from vivace.perception.onsets import detect_onsets
from vivace.perception.percept import perceive
from vivace.perception.senses import perceive_scene
from vivace.perception.stills import black_pictures, still_steps
from vivace.perception.text_overlay import text_share
from vivace.perception.voice_activity import detect_voice
from vivace.perception.words import align_words, hear_words
from vivace.world import Truth, truth
from vivace.world.footage_faults import faulty_picture

EVENT, WORD, PASSING, FADE, VOICE_STEP = 0.05, 0.1, 0.25, 0.15, 0.01  # seconds
FADED = 12  # pictures
NAMES = [
    metric
    for metric in attribute_metrics()
    if metric.name in ("sound_kind", "material_heard", "material_seen", "colour")
]
TEXT = 0.004  # share of the picture from which on a clip counts as lettered, for this table alone


def truth_of(item: WorldItem) -> Truth:
    assert item.scene is not None
    return truth(item.scene, item.timeline, item.height, item.width)


def of_impacts(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Onsets, impacts, what struck what; and stretches and lettering, which are put into the pictures."""
    assert clip.frames is not None
    assert clip.audio is not None
    times = truth_of(item).times
    for condition in SOUNDS:
        sound = degraded_sound(name, clip.audio, clip.sample_rate, condition)
        found = [onset.time for onset in detect_onsets(sound, clip.sample_rate)]
        tallies.of("sound onsets", condition).add_times(times, found, EVENT)
        _add_names(item, Clip(None, clip.fps, sound, clip.sample_rate), condition, tallies)
    frozen, black = (faulty_picture(drawn(name, fault), clip.frames, fault) for fault in ("frozen", "black"))
    lettered = faulty_picture(drawn(name, "overlay"), clip.frames, "overlay")
    still = (frozen[1:] == frozen[:-1]).all(axis=(1, 2, 3))
    dark = (black == 0).all(axis=(1, 2, 3))
    for condition in PICTURES:
        # Noise comes before a picture freezes or goes black, as in a file; so the same degradation lies under both.
        under = degraded_pictures(name, clip.frames, condition)
        seen = perceive(Clip(under, clip.fps, None, clip.sample_rate)).video
        assert seen is not None
        tallies.of("visual impacts", condition).add_times(times, [impact.time for impact in seen.impacts], EVENT)
        _add_names(item, Clip(under, clip.fps, None, clip.sample_rate), condition, tallies)
        first = len(frozen) // 6
        held = np.concatenate([under[:first], np.repeat(under[first : first + 1], len(under) - first, axis=0)])
        tallies.of("frozen pictures", condition).add_steps(still, still_steps(held))
        gone = under.copy()
        gone[dark] = 0
        tallies.of("black pictures", condition).add_steps(dark, black_pictures(gone))
        for written, frames in ((True, lettered), (False, clip.frames)):
            share = text_share(degraded_pictures(name, frames, condition))
            tallies.of("lettering", condition).add_steps(np.array([written]), np.array([share >= TEXT]))
        into, out = under.astype(np.float32), under.astype(np.float32)
        ramp = np.linspace(0, 1, FADED)[:, None, None, None]
        into[:FADED] *= ramp
        out[-FADED:] *= ramp[::-1]
        middle = (FADED - 1) / 2 / float(clip.fps)
        for faded, true in ((into, middle), (out, (len(out) - 1) / float(clip.fps) - middle)):
            fades = detect_fades(faded.astype(np.uint8), float(clip.fps))
            tallies.of("fades", condition).add_times([true], [(fade.start + fade.end) / 2 for fade in fades], FADE)


def _add_names(item: WorldItem, clip: Clip, condition: str, tallies: Tallies) -> None:
    """Kinds, materials and colours that are seen or heard, where the prompt states them."""
    sample = Sample(item.id, clip, item.prompt, item.expected)
    for metric in NAMES:
        record = metric.outcome(sample)
        if not isinstance(record, Undefined):
            tally = tallies.of(metric.name.replace("_", " ") + ", by name", condition)
            tally.right += round(record[0])
            tally.found += round(record[1])
            tally.true += round(record[1])


def of_shots(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Cuts."""
    assert clip.frames is not None
    cuts = list(truth_of(item).cuts)
    for condition in PICTURES:
        found = detect_cuts(degraded_pictures(name, clip.frames, condition), float(clip.fps))
        tallies.of("cuts", condition).add_times(cuts, found, EVENT)


def of_talk(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Words with their time and name, words that are known, and voice."""
    assert clip.audio is not None
    talk = truth_of(item).talk
    assert talk is not None
    words = [(word.word, word.start) for line in talk.lines for word in line.words]
    for condition in SOUNDS:
        sound = degraded_sound(name, clip.audio, clip.sample_rate, condition)
        heard = [(word.word, word.start) for word in hear_words(sound, clip.sample_rate)]
        for word in {word for word, _ in (*words, *heard)}:
            times = ([start for other, start in side if other == word] for side in (words, heard))
            tallies.of("words", condition).add_times(*times, WORD)
        placed = align_words(sound, clip.sample_rate, [word for word, _ in words])
        for (_, start), found in zip(words, placed, strict=True):
            tallies.of("known words placed", condition).add_times([start], [found.start], WORD)
        grid = np.arange(0.0, float(clip.seconds), VOICE_STEP)
        said = _inside(grid, [(line.start, line.end) for line in talk.lines])
        voiced = _inside(grid, [(span.start, span.end) for span in detect_voice(sound, clip.sample_rate)])
        tallies.of("voice activity", condition).add_steps(said, voiced)


def of_scenes(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Silence, ambient sounds by name, and what passes, by picture and by sound."""
    assert clip.frames is not None
    assert clip.audio is not None
    true = truth_of(item)
    passing = [] if true.passing is None else [true.passing.time]
    for condition in SOUNDS:
        sound = degraded_sound(name, clip.audio, clip.sample_rate, condition)
        heard = perceive_scene(Clip(None, clip.fps, sound, clip.sample_rate)).audio
        assert heard is not None
        assert heard.soundscape is not None
        scape = heard.soundscape
        # Noise in proportion to nothing is nothing; hiss is not.
        silent = true.silent and condition != "hissing"
        tallies.of("silence", condition).add_steps(np.array([silent]), np.array([scape.silent]))
        if true.ambience is not None:
            tallies.of("ambience, by name", condition).add_choice(true.ambience.sound, scape.ambience)
        times = [] if scape.passing is None else [scape.passing.time]
        tallies.of("passing, heard", condition).add_times(passing, times, PASSING)
    for condition in PICTURES:
        under = degraded_pictures(name, clip.frames, condition)
        seen = perceive_scene(Clip(under, clip.fps, None, clip.sample_rate)).video
        assert seen is not None
        assert seen.scenery is not None
        times = [] if seen.scenery.passing is None else [seen.scenery.passing.time]
        tallies.of("passing, seen", condition).add_times(passing, times, PASSING)


def of_camera(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """The camera's move by name."""
    assert clip.frames is not None
    assert item.scene is not None
    for condition in PICTURES:
        found = camera_motion(degraded_pictures(name, clip.frames, condition)).move
        tallies.of("camera, by name", condition).add_choice(item.scene.camera.move, found)


def _inside(grid: np.ndarray, spans: Iterable[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(len(grid), bool)
    for start, end in spans:
        inside |= (grid >= start) & (grid < end)
    return inside
