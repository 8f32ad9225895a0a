"""Recipes: TOML files that say what is trained, checked in full before anything runs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from vivace.errors import VivaceError
from vivace.training.alive import AliveRecipe, run_alive
from vivace.training.audio_codec import AudioCodecRecipe, run_audio_codec
from vivace.training.caption_reader import CaptionsRecipe, run_captions
from vivace.training.encode import EncodeRecipe, run_encode
from vivace.training.export import ExportRecipe, run_export
from vivace.training.joint import JointRecipe, run_joint
from vivace.training.latent_scale import LatentScaleRecipe, run_latent_scale
from vivace.training.recogniser import RecogniserRecipe, run_recogniser
from vivace.training.refiner import RefinerRecipe, run_refiner
from vivace.training.refiner_export import RefinerExportRecipe, run_refiner_export
from vivace.training.render import RenderRecipe, run_render
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.speaker import SpeakerRecipe, run_speaker
from vivace.training.video_codec import VideoCodecRecipe, run_video_codec
from vivace.training.voice_judge import VoiceJudgeRecipe, run_voice_judge

Recipe = Annotated[
    RenderRecipe
    | EncodeRecipe
    | VideoCodecRecipe
    | LatentScaleRecipe
    | AudioCodecRecipe
    | SpeakerRecipe
    | RecogniserRecipe
    | VoiceJudgeRecipe
    | CaptionsRecipe
    | JointRecipe
    | AliveRecipe
    | RefinerRecipe
    | ExportRecipe
    | RefinerExportRecipe,
    Field(discriminator="unit"),
]
RUNNERS: dict[type, Callable[[Any, Path, Begun], dict[str, float]]] = {
    RenderRecipe: run_render,
    EncodeRecipe: run_encode,
    VideoCodecRecipe: run_video_codec,
    LatentScaleRecipe: run_latent_scale,
    AudioCodecRecipe: run_audio_codec,
    SpeakerRecipe: run_speaker,
    RecogniserRecipe: run_recogniser,
    VoiceJudgeRecipe: run_voice_judge,
    CaptionsRecipe: run_captions,
    JointRecipe: run_joint,
    AliveRecipe: run_alive,
    RefinerRecipe: run_refiner,
    ExportRecipe: run_export,
    RefinerExportRecipe: run_refiner_export,
}
_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Recipe)
UNITS = (
    "render",
    "encode",
    "video-codec",
    "latent-scale",
    "audio-codec",
    "speaker",
    "recogniser",
    "voice-judge",
    "captions",
    "joint",
    "alive",
    "alive-refiner",
    "export",
    "export-refiner",
)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from its file, with `a.b=value` overrides applied before it is checked.

    Relative paths in a recipe are relative to the folder in which the command runs.

    Raises:
        VivaceError: the file is missing or not TOML; a key is unknown or missing, a value out of range; an override
            that is not of the form a.b=value.
    """
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise VivaceError(
            f"Recipe {str(path)!r} does not exist; name a file such as recipes/nano-nava/5-joint.toml."
        ) from None
    except IsADirectoryError:
        raise VivaceError(f"Recipe {str(path)!r} is a folder; name one of the TOML files in it.") from None
    except RecursionError:
        raise VivaceError(f"Recipe {str(path)!r} cannot be read as TOML (nested too deeply); correct it.") from None
    except (OSError, ValueError) as error:  # what is no TOML, no UTF-8 or, for its name, no path
        raise VivaceError(f"Recipe {str(path)!r} cannot be read as TOML ({error}); correct it.") from None
    for override in overrides:
        apply_override(data, override)
    return check_recipe(data, str(path))


def check_recipe(data: dict[str, Any], name: str) -> Recipe:
    """A recipe from plain values.

    Raises:
        VivaceError: as `load_recipe`.
    """
    if data.get("unit") not in UNITS:
        raise VivaceError(f"Recipe {name!r} has the unit {data.get('unit')!r}; set unit to one of {', '.join(UNITS)}.")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise VivaceError(f"Recipe {name!r}: {_first_problem(error)}.") from None


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    # The first place is the unit by which the recipe's type was chosen; it stands in no file.
    key = ".".join(
        str(part)
        for part in first["loc"][1:]
        if part not in ("folder", "scenes", "characters") or len(first["loc"]) <= 2
    )
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    match first["type"]:
        case "extra_forbidden":
            return f"key {key!r} is unknown; remove it or correct its name{more}"
        case "missing":
            return f"key {key!r} is missing; add it{more}"
        case "value_error":
            return f"{key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}{more}"
        case _:
            reason = first["msg"][0].lower() + first["msg"][1:]
            return f"key {key!r} is {first['input']!r}, but {reason}; correct it{more}"


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set a value in place.

    Lists take numbers as keys (`stages.0.steps=100`). Values are TOML, and what is not TOML is a string.

    Raises:
        VivaceError: no "=", or a key that leads through a plain value or beyond the end of a list.
    """
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise VivaceError(
            f"Override {override!r} is not of the form a.b=value; write for instance --set loop.steps=100."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):  # KeyError: "x\n[value]" and the like
        value = text.strip()
    target: Any = data
    try:
        for name in names[:-1]:
            target = target[int(name)] if isinstance(target, list) else target.setdefault(name, {})
        if isinstance(target, list):
            target[int(names[-1])] = value
        elif isinstance(target, dict):
            target[names[-1]] = value
        else:
            raise TypeError
    except (TypeError, AttributeError, IndexError, ValueError):
        raise VivaceError(
            f"Override {override!r} leads nowhere in this recipe; correct the key {key.strip()!r}."
        ) from None


def recipe_json(recipe: Any) -> str:
    """The recipe with every default filled in, as it is kept in the run's folder."""
    return json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n"


def run_recipe(recipe: Any, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Run the unit in `run`, going on where an earlier, interrupted one ended. Returns its figures.

    Args:
        begun: called once the unit's inputs are open, before its work.
    """
    return RUNNERS[type(recipe)](recipe, run, begun)
