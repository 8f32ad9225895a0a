"""`vivace voice`: recordings kept under a name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vivace.errors import VivaceError

app = typer.Typer(no_args_is_help=True, help="Keep voices under a name, for --voice and dialogue files.")

Name = Annotated[str, typer.Argument(help="Letters, digits, hyphens and underscores.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line, and only that.")]


@app.command(epilog="Example: vivace voice add anna anna.wav")
def add(
    name: Name,
    file: Annotated[Path, typer.Argument(help="A recording of any kind, or a speaker vector in a .safetensors file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of one with this name.")] = False,
    as_json: Json = False,
) -> None:
    """Keep a voice: its speech without pauses, at most 30 s."""
    from vivace.conditioning.saved_voices import save_voice
    from vivace.conditioning.voice_names import voice_path

    saved, notes = save_voice(name, file, replace=replace)
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    path = voice_path(name)
    print(json.dumps({"name": name, "path": str(path)}) if as_json else f"{name}: {saved.describe()}, kept in {path}")


@app.command("list")
def show(as_json: Json = False) -> None:
    """Show the saved voices."""
    from vivace.conditioning.saved_voices import saved_voices
    from vivace.conditioning.voice_names import voice_path, voices_folder

    rows: list[dict[str, Any]] = []
    for name, voice in saved_voices().items():
        what = str(voice) if isinstance(voice, VivaceError) else voice.describe()
        source = "" if isinstance(voice, VivaceError) else voice.source
        rows.append({"name": name, "what": what, "source": source, "path": str(voice_path(name))})
    if as_json:
        print(json.dumps({"folder": str(voices_folder()), "voices": rows}, ensure_ascii=False))
    elif not rows:
        print(f"No voice is saved in {voices_folder()}; add one by: vivace voice add NAME FILE")
    for row in () if as_json else rows:
        source = f", from {row['source']}" if row["source"] else ""
        print(f"{row['name']:16} {row['what']}{source}")


@app.command(epilog="Example: vivace voice remove anna")
def remove(name: Name, as_json: Json = False) -> None:
    """Delete a saved voice."""
    from vivace.conditioning.saved_voices import remove_voice

    remove_voice(name)
    print(json.dumps({"removed": name}) if as_json else f"{name} is removed.")
