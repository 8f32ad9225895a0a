"""Rewriters: what every answer has to keep, the template, and a language model in a folder."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.rewrite_folder import FolderRewriter
from vivace.conditioning.rewrite_template import TemplateRewriter
from vivace.conditioning.rewriting import (
    NoRewriteError,
    PromptRewriter,
    Rewriting,
    Wanted,
    check_speech,
    instruction,
    plain_answer,
    rewritten,
)
from vivace.errors import VivaceError

SPOKEN = "she says <S>two blue<E>, he answers <S>Two, blue!<E>"


@dataclass(frozen=True)
class Written:
    """A rewriter that answers what a function makes of the prompt."""

    answer: Callable[[str], str]
    name: str = "written"

    def __call__(self, prompt: str, wanted: Wanted) -> str:
        return self.answer(prompt)


def test_an_answer_that_keeps_what_is_said_is_taken() -> None:
    found = rewritten(Written(lambda prompt: f"A bright kitchen.\n\n{prompt}  She smiles."), SPOKEN)
    assert found == Rewriting("written", SPOKEN, f"A bright kitchen. {SPOKEN} She smiles.")
    assert found.notes() == []
    assert Rewriting.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (SPOKEN.replace("blue<E>,", "blues<E>,"), "changes speech span 1, 'two blue', to 'two blues'"),
        (SPOKEN.replace("Two, blue!", "two, blue!"), "changes speech span 2"),
        ("he answers <S>Two, blue!<E>, she says <S>two blue<E>", "changes speech span 1"),
        ("she says <S>two blue<E>", "1 speech span instead of 2"),
        (f"{SPOKEN} <S>three<E>", "3 speech spans instead of 2"),
        ("two people talk", "0 speech spans"),
        (SPOKEN.replace("<E>,", ""), "opens <S> inside of another"),
        (f"{SPOKEN} <S>", "never closes"),
        ("", "is empty"),
        (f"{SPOKEN} \x00", "unprintable"),
        (f"{SPOKEN} <extra_id_1>", "reserved"),
        ("long " * 5000, "characters"),
    ],
)
def test_an_answer_that_does_not_is_not(answer: str, why: str) -> None:
    found = rewritten(Written(lambda _: answer), SPOKEN)
    assert found.prompt == found.original == SPOKEN
    assert found.problem is not None
    assert why in found.problem
    [note] = found.notes()
    assert note.startswith("The prompt was not rewritten: ")
    assert note.endswith("the original is used.")
    assert "\n" not in note


def test_what_the_model_cannot_read_is_not_used() -> None:
    def short(prompt: str) -> None:
        if len(prompt) > 20:
            raise VivaceError("It is too long; shorten it.")

    assert rewritten(Written(lambda prompt: prompt + " rings"), "a bell", Wanted(check=short)).prompt == "a bell rings"
    found = rewritten(Written(lambda prompt: prompt * 9), "a bell", Wanted(check=short))
    assert (found.prompt, found.problem) == ("a bell", "It is too long; the original is used.")


def test_a_bad_prompt_and_a_bad_set_up_are_errors() -> None:
    def broken(_: str) -> str:
        raise VivaceError("There is no such model; name another.")

    for rewriter, prompt in ((Written(str), "she says <S>"), (Written(str), " "), (Written(broken), "a bell")):
        with pytest.raises(VivaceError):
            rewritten(rewriter, prompt)

    def silent(_: str) -> str:
        raise NoRewriteError("Nobody answers; the original is used.")

    assert rewritten(Written(silent), "a bell").problem == "Nobody answers; the original is used."
    assert isinstance(Written(str), PromptRewriter)
    for entries in (None, 3, {}, {"rewriter": 1, "original": "", "prompt": ""}):
        with pytest.raises(VivaceError, match="rewriting"):
            Rewriting.from_json(entries)


def test_answers_of_chat_models_are_laid_bare() -> None:
    for text in (
        "a bell",
        '"a bell"',
        "```\na bell\n```",
        "```text\na bell\n```",
        "<think>hm\nno</think>\n\na bell",
        "“a bell”",
    ):
        assert plain_answer(text) == "a bell"
    assert plain_answer("so it begins</think>a bell") == "a bell"
    assert plain_answer('"a" and "b"') == 'a" and "b'  # harmless: no span is changed by it
    for text in ("", "  ", "<think>and so on", "<think>hm</think>", '""'):
        with pytest.raises(NoRewriteError):
            plain_answer(text)


def test_the_instruction_asks_for_the_sides_that_there_are() -> None:
    both = instruction(Wanted(language="Chinese"))
    assert "in Chinese" in both
    assert "camera" in both
    assert "music" in both
    assert "camera" not in instruction(Wanted(picture=False))
    assert "music" not in instruction(Wanted(sound=False))


WORDS = st.text("abcdé <SE>", min_size=1, max_size=30).filter(lambda text: "<S>" not in text and "<E>" not in text)


@settings(max_examples=60, deadline=None)
@given(WORDS, st.lists(WORDS, max_size=4), st.booleans(), st.booleans())
def test_the_template_keeps_every_word(scene: str, spans: list[str], picture: bool, sound: bool) -> None:
    prompt = f"x {scene} y " + " and ".join(f"he says <S>x{words}y<E>" for words in spans)
    found = rewritten(TemplateRewriter(), prompt, Wanted(picture=picture, sound=sound))
    assert found.problem is None
    assert speech_spans(found.prompt) == speech_spans(" ".join(prompt.split()))
    assert " ".join(prompt.split())[1:] in found.prompt
    check_speech(" ".join(prompt.split()), found.prompt)


def test_the_template_says_what_a_short_prompt_leaves_out() -> None:
    def template(prompt: str, **sides: bool) -> str:
        return rewritten(TemplateRewriter(), prompt, Wanted(**sides)).prompt

    plain = template("a dog barks at the sea")
    assert "A dog barks at the sea." in plain
    assert plain.startswith("One continuous shot")
    assert "no music" in plain
    assert "lips" not in plain
    assert "3 lines" in template("a <S>x<E> b <S>y<E> c <S>z<E>")
    assert "lips" in template("she says <S>x<E>")
    assert "lips" not in template("a narrator says <S>x<E>")
    assert "shot with" not in template("the camera pans over a lake")
    assert "soft and natural" not in template("a street at night")
    assert "no music" not in template("a man plays the piano")
    assert "heard" not in template("a dog runs", sound=False)
    assert "shot" not in template("a dog barks", picture=False)
    assert template("一只狗在海边叫").endswith("没有音乐。")
    assert "犬" in template("犬が吠える")
    assert "One continuous shot" in template("犬が吠える")


def test_the_template_says_only_as_much_as_the_model_reads() -> None:
    def at_most(limit: int) -> Wanted:
        def check(prompt: str) -> None:
            if len(prompt) > limit:
                raise VivaceError(f"{len(prompt)} characters are too many; shorten it.")

        return Wanted(check=check)

    lengths = [
        len(rewritten(TemplateRewriter(), "she says <S>hello<E>", at_most(n)).prompt) for n in range(20, 500, 20)
    ]
    assert all(length <= limit for length, limit in zip(lengths, range(20, 500, 20), strict=True))
    assert lengths == sorted(lengths)
    assert lengths[0] == len("she says <S>hello<E>")
    assert lengths[-1] > 250


CAPTION = "A kitchen , where she says <S> hello <E> to nobody ."


def language_model(folder: Path, *, chain: str | None, chat: bool = False) -> Path:
    """A Llama over words. With a chain its weights are written by hand: each word is followed by the chain's next
    one, whatever stood before, and everything outside of the chain by its first word. Otherwise they are random."""
    chained = (chain or "").split()
    assert len(set(chained)) == len(chained)
    vocabulary = {word: k for k, word in enumerate(["<unk>", "</s>", *chained])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")
    if chat:
        fast.chat_template = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}assistant :"
    size = len(vocabulary)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=size + size % 2,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=512,
            eos_token_id=1,
            bos_token_id=None,
        )
    )
    if chain is not None:
        followers = [2, 1, *range(3, size), 1]
        with torch.no_grad():
            for parameter in model.model.layers.parameters():
                parameter.zero_()
            model.model.embed_tokens.weight.copy_(torch.eye(size, model.config.hidden_size))
            model.lm_head.weight.zero_()
            for word, follower in enumerate(followers):
                model.lm_head.weight[follower, word] = 1.0
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("chat", [False, True])
def test_a_language_model_in_a_folder_rewrites(tmp_path: Path, chat: bool) -> None:
    rewriter = FolderRewriter(language_model(tmp_path / "words", chain=CAPTION, chat=chat))
    found = rewritten(rewriter, "she says <S> hello <E>")
    assert found.prompt == CAPTION
    assert found.rewriter == str(tmp_path / "words")
    assert rewritten(rewriter, "she says <S> hallo <E>").problem is not None
    assert rewritten(rewriter, "she says <S> hallo <E>").prompt == "she says <S> hallo <E>"


def test_a_model_that_babbles_leaves_the_prompt_alone(tmp_path: Path) -> None:
    rewriter = FolderRewriter(language_model(tmp_path / "random", chain=None), max_new_tokens=8)
    found = rewritten(rewriter, SPOKEN)
    assert found.prompt == SPOKEN
    assert found.problem is not None
    endless = FolderRewriter(language_model(tmp_path / "words", chain=CAPTION), max_new_tokens=5)
    assert "not finished after 5 tokens" in (rewritten(endless, "she says <S> hello <E>").problem or "")
    assert "too long for the rewriter" in (rewritten(rewriter, "word " * 600).problem or "")


def test_folders_without_a_language_model_are_refused(tmp_path: Path, model_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    cut = language_model(tmp_path / "cut", chain=CAPTION)
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    for folder in (tmp_path / "empty", tmp_path / "nowhere", cut, model_folder, weights):
        with pytest.raises(VivaceError) as caught:
            FolderRewriter(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_what_a_folder_lacks_is_named(tmp_path: Path, lost: str) -> None:
    folder = language_model(tmp_path / "small", chain=CAPTION)
    (folder / lost).unlink()
    with pytest.raises(VivaceError, match=re.escape(f"(it lacks {lost.replace('model.', '*.')}); name one of")):
        FolderRewriter(folder)
