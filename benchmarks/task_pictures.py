"""A picture of what every task makes: frames, waveform, what is seen and heard as ticks, and the command below.

    python -m benchmarks.task_pictures [--model nano-nava] [--task talk]... [--seed 1] [--seconds 2] [--output FOLDER]

Materials are made of the world's `test` scenes and lie in the folder beside the clips, so that every command can be run
there as it stands: picture, sound, pictures and beginning of a clip are of the first prompt of an evaluation, whose
caption is then the prompt; a face and two voices of the first scenes in which one woman, and one man, talks alone. A
task that the model refuses is left out, and the refusal is printed. Writes NAME.png for every task, and tasks.md with
picture and command of each.

Green ticks are what detectors find that know nothing of the prompt: words where a recogniser hears them begin, and
otherwise impacts that are seen and onsets that are heard, each at its own time. Of two that belong together the first
has the name of both.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vivace.cli.main import main as vivace
from vivace.errors import VivaceError
from vivace.evaluation.matching import match_times
from vivace.evaluation.prompts import true_clip, world_items
from vivace.evaluation.tasks import REFERENCE_RATE, half
from vivace.media import Clip, contact_sheet, read_audio, read_clip, replacing, write_clip, write_png, write_wav
from vivace.perception.percept import perceive
from vivace.perception.words import hear_words
from vivace.timeline import Timeline
from vivace.world import Scene, render_video, sample_scene, voice_references

DIALOGUE = """\
speakers:
  anna: {voice: anna.wav, look: a woman with red hair on the left}
  ben: {voice: ben.wav, look: a man in a blue sweater on the right}
anna: two blue
ben: hello
"""
LETTERS = 15  # of the command, pixels
WINDOW = 0.075  # seconds between an impact and its sound


@dataclass(frozen=True)
class Shown:
    """A task as it is shown.

    Args:
        name: of its files. title: what stands above it. words: of the command; `PROMPT` and `FACE` stand for what
            is said of the given clip, and of the given face. talks: whether words are its events, instead of impacts
            and onsets.
    """

    name: str
    title: str
    words: tuple[str, ...]
    talks: bool = False


PROMPT, FACE = "PROMPT", "FACE"
BOUNCE = "a red ball bounces three times on a wooden floor"
SAYS = "a woman with red hair says <S>two blue<E>"
TASKS = (
    Shown("text", "Text to picture and sound", (BOUNCE,)),
    Shown("talk", "Speech in a voice", (SAYS, "--voice", "anna.wav"), talks=True),
    Shown("dialogue", "A dialogue", ("two people talk", "--dialogue", "talk.yaml", "--seconds", "4"), talks=True),
    Shown("image", "A first picture", (PROMPT, "--image", "picture.png")),
    Shown(
        "image-and-voice",
        "A first picture and a voice",
        (FACE, "--image", "face.png", "--voice", "anna.wav"),
        talks=True,
    ),
    Shown("video-alone", "Text to picture", (BOUNCE, "--only", "video")),
    Shown("sound-alone", "Text to sound", (BOUNCE, "--only", "audio")),
    Shown("audio", "Pictures for a sound", (PROMPT, "--audio", "sound.wav")),
    Shown("video", "Sound for pictures", (PROMPT, "--video", "pictures.mp4")),
    Shown("extend", "A clip goes on", (PROMPT, "--extend", "beginning.mp4")),
    Shown("wide", "Another shape", (BOUNCE, "--size", "160x96")),
)


def write_materials(folder: Path, seconds: float) -> dict[str, str]:
    """What the commands are given, of the first held-out test scenes; returns the prompts that say what they show.

    Raises:
        VivaceError: a folder that cannot be written.
    """
    item = world_items("test", 2, seconds=seconds, hand=False, camera=False)[0]
    clip = true_clip(item)
    assert clip.frames is not None
    assert clip.audio is not None
    write_png(folder / "picture.png", clip.frames[0])
    write_wav(folder / "sound.wav", clip.audio, clip.sample_rate)
    write_clip(folder / "pictures.mp4", replace(clip, audio=None), {})
    count = half(item)
    sound = clip.audio[:, : round(count / float(clip.fps) * clip.sample_rate)]
    write_clip(folder / "beginning.mp4", replace(clip, frames=clip.frames[:count], audio=sound), {})
    told = {PROMPT: item.prompt}
    for name, person in (("anna.wav", "woman"), ("ben.wav", "man")):
        scene = _alone(person, seconds)
        write_wav(folder / name, voice_references(scene)[0][None].astype(np.float32), REFERENCE_RATE)
        if person == "woman":
            write_png(folder / "face.png", render_video(scene, Timeline(1), item.height, item.width)[0])
            assert scene.talk is not None
            looks = scene.talk.characters[0]
            told[FACE] = f"a woman with {looks.hair} hair in {looks.clothes} says <S>two blue<E>"
    with replacing(folder / "talk.yaml") as path:
        path.write_text(DIALOGUE)
    return told


def _alone(person: str, seconds: float) -> Scene:
    """The first held-out scene in which one such person talks, and nobody else is seen."""
    drawn = (sample_scene(seed, "test", kind="talk", seconds=seconds) for seed in itertools.count())
    return next(scene for scene in drawn if scene.talk and [who.person for who in scene.talk.characters] == [person])


def command(task: Shown, told: Mapping[str, str], model: str, seed: int) -> list[str]:
    """The words of `vivace` for a task; `told` is what `write_materials` returned."""
    words = [told.get(word, word) for word in task.words]
    named = [] if model == "nano-nava" else ["--model", model]
    suffix = "wav" if "audio" in task.words[-1:] else "mp4"
    return ["generate", *words, *named, "--seed", str(seed), "--output", f"{task.name}.{suffix}"]


def events_of(clip: Clip, talks: bool) -> list[tuple[float, str]]:
    """What the detectors find in a clip: words, or impacts and onsets, each at its time in seconds.

    Of an impact and an onset that go together the earlier is called "seen, heard" or "heard, seen", and the later
    nothing, because their names would run into one another.
    """
    if talks and clip.audio is not None:
        return [(word.start, word.word) for word in hear_words(clip.audio, clip.sample_rate)]
    found = perceive(clip)
    impacts = [] if found.video is None else [impact.time for impact in found.video.impacts]
    onsets = [] if found.audio is None else [onset.time for onset in found.audio.onsets]
    seen, heard = ["seen"] * len(impacts), ["heard"] * len(onsets)
    for first, second in match_times(impacts, onsets, WINDOW):
        early = impacts[first] <= onsets[second]
        seen[first], heard[second] = ("seen, heard", "") if early else ("", "heard, seen")
    return sorted([*zip(impacts, seen, strict=True), *zip(onsets, heard, strict=True)])


def picture(title: str, words: Sequence[str], clip: Clip, talks: bool) -> np.ndarray:
    """The clip's contact sheet with its events, and the command under it. uint8 [H, 1200, 3]"""
    sheet = contact_sheet(clip.frames, clip.fps, clip.audio, clip.sample_rate, events_of(clip, talks), title)
    text = "$ " + shlex.join(["vivace", *words])
    font = ImageFont.load_default(LETTERS)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > sheet.shape[1] - 48:
            lines.append("    " + word)
        else:
            lines[-1] = longer if lines[-1].strip() else lines[-1] + word
    strip = Image.new("RGB", (sheet.shape[1], 20 + 22 * len(lines)), (244, 245, 247))
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((24, 10 + 22 * number), line, (32, 33, 36), font)
    return np.concatenate((sheet, np.asarray(strip)))


def show(task: Shown, folder: Path, told: Mapping[str, str], model: str, seed: int) -> str | None:
    """Make a task's clip and picture in the folder; returns why not where the model refuses.

    Raises:
        VivaceError: a clip that was written and cannot be read.
    """
    words = command(task, told, model, seed)
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        failed = vivace(words)
    if failed:
        return said.getvalue().strip()
    path = folder / words[-1]
    if path.suffix == ".wav":
        clip = Clip(None, Fraction(24), read_audio(path), 16000)
    else:
        clip = read_clip(path)
        if "video" in task.words[-1:]:
            clip = replace(clip, audio=None)  # a reader makes silence of a sound that is absent
    write_png(folder / f"{task.name}.png", picture(f"{task.title}: {words[1]}", words, clip, task.talks))
    return None


def pages(tasks: Sequence[Shown], told: Mapping[str, str], model: str, seed: int) -> Iterator[str]:
    """The parts of tasks.md."""
    for task in tasks:
        line = shlex.join(["vivace", *command(task, told, model, seed)])
        file = f"\n`talk.yaml`:\n\n```yaml\n{DIALOGUE}```\n" if "--dialogue" in task.words else ""
        yield f"### {task.title}\n\n![{task.title}]({task.name}.png)\n\n```sh\n{line}\n```\n{file}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-nava")
    parser.add_argument("--task", action="append", choices=[task.name for task in TASKS], help="only this; repeat")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of the materials")
    parser.add_argument("--output", type=Path, default=Path("results/tasks"))
    asked = parser.parse_args(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    model = str(Path(asked.model).resolve()) if Path(asked.model).is_dir() else asked.model
    told = write_materials(asked.output, asked.seconds)
    made = []
    for task in TASKS:
        if asked.task and task.name not in asked.task:
            continue
        refused = show(task, asked.output, told, model, asked.seed)
        print(f"{task.name}: {refused or 'made'}")
        if refused is None:
            made.append(task)
    with replacing(asked.output / "tasks.md") as path:
        path.write_text("\n".join(pages(made, told, model, asked.seed)))


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        raise SystemExit(str(error)) from None
