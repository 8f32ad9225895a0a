"""`--rewrite`: which rewriter a request names, and what becomes of its prompt before a model sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.errors import VivaceError
from vivace.pipelines.folder import is_folder

if TYPE_CHECKING:
    from vivace.cli.options import Request
    from vivace.conditioning.rewriting import PromptRewriter, Rewriting, Wanted

NONE, TEMPLATE = "none", "template"
URLS = ("http://", "https://")

Rewrite = Annotated[
    str | None,
    typer.Option(
        metavar="none|template|FOLDER|URL", help="Who makes the prompt a dense caption; speech stays as it is."
    ),
]
RewriteModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="The model that the rewriter's URL is asked for.")
]
RewriteKey = Annotated[
    str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the key for the URL.")
]


def parse_rewrite(rewrite: Any, model: Any = None, key: Any = None) -> str | None:
    """What stands in a request: "template", a URL, a folder's full path, or None. Nothing is loaded or asked.

    Raises:
        VivaceError: no text, a URL of another kind, no folder, or a model or key where nothing takes one.
    """
    for name, text in (("rewrite", rewrite), ("rewrite_model", model), ("rewrite_key", key)):
        if text is not None and not (isinstance(text, str) and text.strip() and text.isprintable()):
            raise VivaceError(f"{name} {text!r} is not text; give it in quotation marks.")
    if rewrite is not None and rewrite.startswith(URLS):
        return str(rewrite)
    if rewrite is not None and "://" in rewrite:
        raise VivaceError(f"rewrite {rewrite[:100]!r} is no URL of http; give one such as http://localhost:8000/v1.")
    if model is not None or key is not None:
        raise VivaceError("A rewriter's model or key was given without its URL; add --rewrite URL, or leave it out.")
    if rewrite in (None, NONE, TEMPLATE):
        return None if rewrite in (None, NONE) else TEMPLATE
    # A full path may stand in the record of a clip whose rewriter is gone and is not needed again.
    if not Path(rewrite).is_absolute() and not is_folder(rewrite):
        raise VivaceError(f"rewrite {rewrite[:100]!r} is neither none, template, a folder nor a URL; name one of them.")
    try:
        return str(Path(rewrite).resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise VivaceError(f"rewrite {rewrite[:100]!r} is no possible folder ({error}); check the path.") from None


class Rewriters:
    """Loads each rewriter once.

    Args:
        keep: hold on to a language model for the next clip; otherwise its memory is free for the clip itself.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self._loaded: dict[tuple[str | None, ...], PromptRewriter] = {}

    def rewrite(self, request: Request, folder: Path, given: dict[str, Any]) -> Rewriting | None:
        """The prompt of a request for the model in a folder; None where nothing is to be rewritten.

        Args:
            given: what is in the request's files.

        Raises:
            VivaceError: a prompt that is none, a rewriter that cannot work as it was named, or a request that the
                model cannot fulfil.
        """
        if request.rewrite is None:
            return None
        from vivace.conditioning.rewriting import rewritten

        key = (request.rewrite, request.rewrite_model, request.rewrite_key)
        if request.rewrite != TEMPLATE:
            _check(request, folder, given)
        rewriter = self._loaded.get(key) or make_rewriter(*key)
        if self.keep:
            self._loaded[key] = rewriter
        return rewritten(rewriter, request.prompt, wanted_for(request, folder))


def _check(request: Request, folder: Path, given: dict[str, Any]) -> None:
    """Refuse what the model would refuse, before a language model's minutes or an endpoint's answer are spent on it."""
    from vivace.pipelines.parts import parts_in
    from vivace.pipelines.planning import skeleton

    skeleton(folder, parts_in(folder)).plan(**request.plan_arguments(), **given)


def make_rewriter(rewrite: str | None, model: str | None, key: str | None) -> PromptRewriter:
    """The rewriter of a request.

    Raises:
        VivaceError: it cannot be set up.
    """
    if rewrite == TEMPLATE:
        from vivace.conditioning.rewrite_template import TemplateRewriter

        return TemplateRewriter()
    assert rewrite is not None
    if rewrite.startswith(URLS):
        from vivace.conditioning.rewrite_endpoint import EndpointRewriter

        return EndpointRewriter(rewrite, model, key)
    from vivace.cli.making import quiet_libraries
    from vivace.conditioning.rewrite_folder import FolderRewriter

    quiet_libraries()
    return FolderRewriter(rewrite)


def wanted_for(request: Request, folder: Path) -> Wanted:
    """What the model in a folder reads: its language, its sides as asked for, and no more tokens than it takes."""
    from transformers import AutoTokenizer

    from vivace.conditioning.rewriting import Wanted
    from vivace.conditioning.text import tokenize
    from vivace.pipelines.capabilities import abilities_in
    from vivace.pipelines.folder import read_index
    from vivace.pipelines.parts import parts_in

    can = abilities_in(read_index(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    longest = int(parts_in(folder)["transformer"].config.get("text_len", 512))

    def check(prompt: str) -> None:
        tokenize(tokenizer, prompt, longest, "The rewritten prompt")

    return Wanted(can.caption_language, request.only != "audio", request.only != "video", check)
