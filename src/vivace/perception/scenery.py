"""What is around the events of a clip: shots and camera by eye, ambience and silence by ear, passings by both."""

from __future__ import annotations

from dataclasses import dataclass

from vivace.perception.camera import CameraMotion
from vivace.perception.passing import PassingHeard, PassingSeen


@dataclass(frozen=True)
class ShotSeen:
    """One shot: the time in seconds at which it begins, the colours of its things as `Seen.colours` gives them, and
    whether one of them falls (None where that was not looked for)."""

    start: float
    colours: tuple[str, ...]
    falls: bool | None = None


@dataclass(frozen=True)
class Scenery:
    """Shots in order (one where nothing is cut), the first one's camera, and a thing that passes, if one does."""

    shots: tuple[ShotSeen, ...]
    camera: CameraMotion
    passing: PassingSeen | None

    @property
    def cuts(self) -> tuple[float, ...]:
        """Seconds at which a new shot begins."""
        return tuple(shot.start for shot in self.shots[1:])


@dataclass(frozen=True)
class Soundscape:
    """Level of the loudest stretch (dBFS), whether that is silence, the ambient sound if there is one, a passing."""

    loudest: float
    silent: bool
    ambience: str | None
    passing: PassingHeard | None
