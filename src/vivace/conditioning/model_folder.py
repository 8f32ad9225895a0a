"""Models of transformers in local folders: loading them, and what ends their answers. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vivace.errors import VivaceError

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
        said = str(error).strip().split("\n")[0][:200]
        reason = f" ({said})" if said and not said.endswith(":") else ""
        raise VivaceError(f"Folder {str(folder)!r} holds no {kind} that loads{reason}; name {remedy}.") from None
    return loaded, network


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer, of the model's settings and of its tokenizer."""
    stated = model.generation_config.eos_token_id
    ends = stated if isinstance(stated, (list, tuple)) else [stated]
    return {int(token) for token in (*ends, tokenizer.eos_token_id) if token is not None}
