"""The world: a procedural, unlimited source of clips whose every event is known exactly.

A scene is drawn from a seed (`sample_scene`), shown (`render_video`), heard (`render_audio`), told (`caption`) and
explained (`truth`). Nothing that generates clips may import this package.
"""

from vivace.world.captions import caption, caption_with_attributes
from vivace.world.palette import BALL_MATERIALS, COLOURS, FLOORS
from vivace.world.phones import WORDS
from vivace.world.picture import pictures_at, render_video
from vivace.world.prompts import HANDWRITTEN_PROMPTS
from vivace.world.references import count_lines, voice_references
from vivace.world.sample import sample_scene
from vivace.world.scene import (
    ALL_KINDS,
    CAMERA_MOVES,
    INSTRUMENTS,
    KINDS,
    Ball,
    Camera,
    Instrument,
    Scene,
    Stage,
    Stroke,
)
from vivace.world.scene_prompts import SCENE_PROMPTS
from vivace.world.sound import render_audio
from vivace.world.splits import is_unseen_combination
from vivace.world.talk_prompts import TALK_PROMPTS
from vivace.world.truth import Event, ObjectTruth, Truth, truth
from vivace.world.variety import variety_audio, variety_video

__all__ = [
    "ALL_KINDS",
    "BALL_MATERIALS",
    "CAMERA_MOVES",
    "COLOURS",
    "FLOORS",
    "HANDWRITTEN_PROMPTS",
    "INSTRUMENTS",
    "KINDS",
    "SCENE_PROMPTS",
    "TALK_PROMPTS",
    "WORDS",
    "Ball",
    "Camera",
    "Event",
    "Instrument",
    "ObjectTruth",
    "Scene",
    "Stage",
    "Stroke",
    "Truth",
    "caption",
    "caption_with_attributes",
    "count_lines",
    "is_unseen_combination",
    "pictures_at",
    "render_audio",
    "render_video",
    "sample_scene",
    "truth",
    "variety_audio",
    "variety_video",
    "voice_references",
]
