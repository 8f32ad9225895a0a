"""Pictures of tasks: what is told of what is given is true, and ticks stand where things are found."""

import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import task_pictures
from vivace.conditioning.dialogue import read_dialogue
from vivace.media import Clip, read_image
from vivace.world.palette import COLOURS, HAIR_RGB


def test_the_given_face_is_the_one_that_the_prompt_tells_of(tmp_path: Path) -> None:
    told = task_pictures.write_materials(tmp_path, 1.0)
    shown = {task.name: task for task in task_pictures.TASKS}
    prompt = task_pictures.command(shown["image-and-voice"], told, "nano-nava", 1)[1]
    said = re.fullmatch(r"a woman with (\w+) hair in (\w+) says <S>two blue<E>", prompt)
    assert said
    pixels = read_image(tmp_path / "face.png").reshape(-1, 3).astype(int)
    for colour in (HAIR_RGB[said[1]], COLOURS[said[2]]):
        assert (np.abs(pixels - colour).sum(1) < 60).mean() > 0.02
    spoken = read_dialogue(tmp_path / "talk.yaml").prompt("two people talk")
    assert re.search(r"woman .*<S>two blue<E>, then a man .*<S>hello<E>", spoken)


def test_ticks_stand_at_the_impact_and_at_the_onset(monkeypatch: pytest.MonkeyPatch) -> None:
    def moments(*times: float) -> list[SimpleNamespace]:
        return [SimpleNamespace(time=time) for time in times]

    found = SimpleNamespace(
        video=SimpleNamespace(impacts=moments(0.5, 1.0, 1.6)), audio=SimpleNamespace(onsets=moments(0.2, 0.56, 0.97))
    )
    monkeypatch.setattr(task_pictures, "perceive", lambda clip: found)
    clip = Clip(np.zeros((48, 32, 32, 3), np.uint8), Fraction(24), None, 16000)
    assert task_pictures.events_of(clip, talks=False) == [
        (0.2, "heard"),
        (0.5, "seen, heard"),
        (0.56, ""),
        (0.97, "heard, seen"),
        (1.0, ""),
        (1.6, "seen"),
    ]
