"""Models of transformers in local folders: loading them, and what ends their answers. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vivace.errors import VivaceError

# What a folder needs, and the names that it may have.
_NEEDED = {
    "config.json": ("config.json",),
    "*.safetensors": ("*.safetensors",),
    "tokenizer.json": ("tokenizer.json", "vocab*", "*.model"),
}
_LONGEST = 200  # characters of a foreign sentence that are passed on
# The likeliest answer, and none of the model's own settings for sampling, which a greedy answer would warn about.
GREEDY: dict[str, Any] = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


def load_model_folder(
    folder: str | Path, processor: Any, model: Any, kind: str, remedy: str, **options: Any
) -> tuple[Any, Any]:
    """A folder's processor (or tokenizer) and its model, in evaluation mode; weights from safetensors alone.

    Args:
        processor, model: classes of transformers.
        kind: what the folder should hold, such as "language model". remedy: what to name in its place.
        options: of loading the model.

    Raises:
        VivaceError: no such folder, or none that transformers loads.
    """
    path = Path(folder)
    try:
        # What is no folder would be looked for among the names of a hub.
        if not path.is_dir():
            raise FileNotFoundError("no such folder")
        loaded = processor.from_pretrained(path, local_files_only=True)
        network = model.from_pretrained(path, local_files_only=True, use_safetensors=True, **options).eval()
    except Exception as error:  # Loading fails in as many ways as there are models; to a user all mean the same.
        reason = _reason(path, error)
        raise VivaceError(f"Folder {str(folder)!r} holds no {kind} that loads{reason}; name {remedy}.") from None
    return loaded, network


def _reason(path: Path, error: Exception) -> str:
    """Why a folder does not load, as a part of a sentence: what it lacks, or else the library's first sentence."""
    lacking = [
        name for name, patterns in _NEEDED.items() if not any(file for like in patterns for file in path.glob(like))
    ]
    if lacking and path.is_dir():
        return f" (it lacks {', '.join(lacking)})"
    said = " ".join(str(error).split("\n")[0].split()).split(". ")[0].rstrip(".;")
    # What goes on is advice for programmers, and what ends in a colon announces it.
    return f" ({said})" if 0 < len(said) <= _LONGEST and not said.endswith(":") else ""


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer, of the model's settings and of its tokenizer."""
    stated = model.generation_config.eos_token_id
    ends = stated if isinstance(stated, (list, tuple)) else [stated]
    return {int(token) for token in (*ends, tokenizer.eos_token_id) if token is not None}
