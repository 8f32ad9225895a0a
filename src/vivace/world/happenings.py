"""What happens in a scene and when: the one list that sound, picture and truth share."""

from __future__ import annotations

from dataclasses import dataclass

from vivace.world.layout import bar_positions, figure
from vivace.world.physics import ball_strength, contacts
from vivace.world.scene import Scene


@dataclass(frozen=True)
class Happening:
    """One contact, in scene coordinates.

    `x` in [-1, 1] of the object that sounds (the ball, the instrument or its bar), `lift` of the contact above the
    object's lane in units of length; for a mallet it is the middle of the head.
    """

    time: float
    kind: str
    object: int
    x: float
    lift: float
    strength: float
    bar: int = 0


def happenings(scene: Scene, until: float) -> list[Happening]:
    """Every contact before `until` seconds, in order of time."""
    instrument = scene.instrument
    if instrument is None:
        found = [
            Happening(time, f"ball:{ball.material}>{scene.stage.floor}", number, x, 0.0, ball_strength(impact))
            for number, ball in enumerate(scene.balls)
            for time, x, impact in contacts(ball, until)
        ]
        return sorted(found, key=lambda event: event.time)
    shape = figure(instrument, scene.hand)
    places = bar_positions(instrument) if instrument.kind == "xylophone" else [instrument.x]
    return [
        Happening(
            stroke.time,
            instrument.kind,
            0,
            float(places[stroke.bar]),
            -shape.contact_y,
            stroke.strength,
            stroke.bar,
        )
        for stroke in scene.strokes
        if stroke.time < until
    ]
