"""What is in the files that a request names, read and checked, as arguments of a pipeline's `plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from torch import Tensor

    from vivace.cli.files import GivenFile
    from vivace.conditioning.voices import Recording


def all_given(request: Request, model: Callable[[], Path]) -> tuple[dict[str, Any], list[str]]:
    """What is in a request's files, with voices as the user's own speaker encoder hears them, if there is one.

    Returns what `read_given` does, and what is to be said of the files.

    Args:
        model: gives the folder of the request's model, where that matters.

    Raises:
        VivaceError: as `read_given`, or something that the model cannot take.
    """
    if request.references:
        _check_references(model(), request.model)
    notes: list[str] = []
    given = read_given(request, notes.append)
    notes += [note for voice in dict.fromkeys(given.get("voices", ())) for note in getattr(voice, "notes", ())]
    _check_vectors(request.voices, given.get("voices", ()), model)
    if request.speaker_encoder is not None:
        given["voices"] = _hear(request.speaker_encoder, given["voices"], model())
    return given, notes


def read_given(request: Request, tell: Callable[[str], None] = lambda note: None) -> dict[str, Any]:
    """What is in a request's files, as arguments of a pipeline's `plan`.

    Args:
        tell: is called with a sentence for whatever reading changes of them and the clip is made with.

    Raises:
        VivaceError: a file that is gone, has changed since the request was made, or is of another kind or damaged.
    """
    from vivace.media import is_still, read_clip, read_image
    from vivace.timeline import MAX_SECONDS

    paths = {name: file.check(name) for name, file in request.files().items()}
    # No model makes more than this; a second more tells a file that is cut from one that fits.
    most = 1.0 + (MAX_SECONDS if request.seconds is None else min(request.seconds, MAX_SECONDS))
    given: dict[str, Any] = {}

    def of(name: str, *, used: bool = True) -> Callable[[str], None]:
        return lambda change: tell(f"{name} {change}.") if used else None

    if "image" in paths:
        given["image"] = read_image(paths["image"], tell=of("The given picture"))
    if "audio" in paths:
        given["audio"] = read_clip(paths["audio"], at_most=most, pictures=False, tell=of("The given sound"))
    for name in ("video", "extend"):
        if name in paths and is_still(paths[name]):
            raise VivaceError(
                f"File {str(paths[name])!r} ({name}) is a still picture; begin a clip with it by --image, or name a "
                "video."
            )
    if "video" in paths:  # of its sound nothing is used
        given["video"] = read_clip(paths["video"], at_most=most)
    if "extend" in paths:
        given["extend"] = read_clip(paths["extend"], tell=of("The given clip", used=request.only != "video"))
    if request.references:
        shown = [file.check("reference") for file in request.references]
        given["references"] = [read_image(path, tell=of(f"Reference {str(path)!r}")) for path in shown]
    if request.voices:
        given["voices"] = _read_voices(request.voices)
    elif "speaker_encoder" in paths:
        raise VivaceError("A speaker encoder was given and no voice for it to hear; add --voice, or leave it out.")
    return given


def _check_references(folder: Path, name: str) -> None:
    """Raises VivaceError for a model that no references can be shown to."""
    from vivace.pipelines.capabilities import abilities_in
    from vivace.pipelines.folder import read_index

    if not hasattr(abilities_in(read_index(folder)), "most_references"):
        raise VivaceError(
            f"Model {name!r} takes no references; name an Alive model, or give its first picture with --image."
        )


def _read_voices(files: Sequence[GivenFile | None]) -> list[Recording | Tensor | None]:
    """The recording or speaker vector in each file; the same one where a file is named twice."""
    from vivace.conditioning.voices import read_voice

    read = {file: read_voice(file.check("voice")) for file in dict.fromkeys(files) if file is not None}
    return [None if file is None else read[file] for file in files]


def _check_vectors(
    files: Sequence[GivenFile | None], voices: Sequence[Recording | Tensor | None], model: Callable[[], Path]
) -> None:
    """Raises VivaceError, which names the file, where it holds a speaker vector of another width than the model's."""
    if not voices:
        return
    from vivace.conditioning.voices import Recording, check_vectors
    from vivace.conversion.parts import read_json

    named = {file.path: voice for file, voice in zip(files, voices, strict=True) if file is not None}
    vectors = {path: voice for path, voice in named.items() if not isinstance(voice, Recording)}
    known = read_json(model() / "transformer" / "config.json").get("speaker_dim") if vectors else None
    for path, vector in vectors.items():
        if known:  # a model without voices refuses them all
            check_vectors([vector], known, f"Voice {path!r}")


def _hear(encoder: GivenFile, voices: Sequence[Recording | Tensor | None], model: Path) -> list[Tensor | None]:
    """The voices as vectors that the user's own speaker encoder makes of them.

    Raises:
        VivaceError: an encoder that cannot be used, one of other vectors than the model's, or a model that comes with
            its own.
    """
    from vivace.conditioning.speaker_onnx import OnnxSpeakerEncoder
    from vivace.conditioning.voices import Recording, speaker_vectors
    from vivace.conversion.parts import read_json
    from vivace.pipelines.folder import read_index

    # A transformer knows no other vectors than those that it was trained with.
    if (read_index(model).get("speaker_encoder") or [None])[0]:
        raise VivaceError(f"Model {str(model)!r} has a speaker encoder of its own; leave --speaker-encoder out.")
    path = encoder.check("speaker_encoder")
    found = OnnxSpeakerEncoder(path)
    known = read_json(model / "transformer" / "config.json").get("speaker_dim")
    if known and known != found.dim:
        raise VivaceError(
            f"Speaker encoder {str(path)!r} gives {found.dim} values and this model needs {known}; name another."
        )
    return [
        speaker_vectors(found, [voice], found.dim)[0] if isinstance(voice, Recording) else voice for voice in voices
    ]
