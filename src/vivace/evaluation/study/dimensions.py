"""The 22 dimensions of the suite in Alive-Bench's style, as questions about a pair of clips.

Alive-Bench's own dimensions and the questions of its votes are unpublished: those of the suite are our choice
(`evaluation.suites.alive_style`), and the wording here is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vivace.evaluation.study.design import Axis
from vivace.evaluation.suites.alive_style import GROUPS, alive_style_suite

_QUESTIONS = {
    "motion_amplitude": "In which clip is there as much movement as the text asks for?",
    "motion_smoothness": "Which clip moves more smoothly, without jumps or flicker?",
    "physics": "In which clip do things move more as they would in the world?",
    "body_and_face": "In which clip do bodies and faces keep their shape better?",
    "composition": "Which clip is better framed and arranged?",
    "clarity": "Which clip is sharper and clearer?",
    "realism": "Which clip looks more as if it were real, or more true to its style?",
    "light_and_colour": "Which clip has the better light and colours?",
    "subject_and_attributes": "Which clip shows more of who and what the text names, as it describes them?",
    "action_order": "In which clip does more happen of what the text says, and in its order?",
    "scene_and_camera": "Which clip is nearer to the text in its place and in how the camera moves?",
    "count_and_relations": "Which clip is nearer to the text in how many there are, and how they stand to each other?",
    "cleanliness": "Which clip's sound is cleaner, without noise or clipping?",
    "timbre": "In which clip do voices and things sound more like what they are?",
    "pronunciation": "In which clip is speech pronounced better?",
    "emotion": "In which clip does the voice carry feeling more naturally?",
    "speech_content": "In which clip is more of the text's speech said, word for word?",
    "speaker_and_language": "In which clip do speaker, feeling and language fit the text better?",
    "events_and_music": "In which clip is more to be heard of the sounds and music that the text names?",
    "lips": "In which clip do the lips fit the speech better?",
    "events": "In which clip do sounds come more exactly when what makes them is seen?",
    "who_speaks": "In which clip is it clearer, and right, who is speaking?",
}
_HEARING = ("audio quality", "audio-video sync")  # the groups on which a sound that is late and dull is worse
ALIVE_DIMENSIONS = tuple(
    Axis(name, _QUESTIONS[name], hears=group in _HEARING, group=group)
    for group, names in GROUPS.items()
    for name in names
)


def dimensions_of(clips: Iterable[str], given: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """By clip, the dimensions that its prompt is about: those given, or else those of the suite's item of that name."""
    tagged = {item.id: item.tags for item in alive_style_suite().items}
    return {clip: found for clip in clips if (found := given.get(clip) or tagged.get(clip))}
