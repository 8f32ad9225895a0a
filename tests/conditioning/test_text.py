import pytest
import torch
from tests.tiny import tiny_text_encoder
from transformers import ByT5Tokenizer

from vivace.conditioning.prompts import MARKER, check_prompt, speech_spans
from vivace.conditioning.text import encode_prompts, tokenize
from vivace.errors import VivaceError


@pytest.fixture(scope="module")
def tokenizer() -> ByT5Tokenizer:
    return ByT5Tokenizer()


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("", "empty"),
        ("  \n\t ", "empty"),
        ("\u200b\u200b", "empty"),
        ("a\x00b", "unprintable"),
        ("a\x1b[31m", "unprintable"),
        ("broken \udcff", "unprintable"),
        ("a" * 30000, "30000 characters"),
        ("a <S>b", "never closes"),
        ("a b<E>", "before it"),
        ("<E>a<S>", "before it"),
        ("<S>a<S>b<E><E>", "inside of another"),
        ("<S> <E>", "nothing between"),
        ("<S>?!<E>", "no letter or digit between"),
        ("<S>one<E> <S>... —<E>", "no letter or digit between"),
        ("end </s> here", "reserved"),
        ("<extra_id_7>", "reserved"),
        (f"she {MARKER}says <S>hi<E>", "<extra_id_2>, which is reserved"),
        (b"bytes", "not text"),
        (None, "not text"),
    ],
)
def test_bad_prompts_are_refused_in_one_sentence(prompt, complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        check_prompt(prompt)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "prompt", ["Ein Ball prallt ab.", "赤いボール", "👩‍🔬 drums", "a < b > c", "<s-bahn> rattles", "42"]
)
def test_any_plain_text_is_accepted(prompt: str) -> None:
    assert check_prompt(prompt) == prompt


def test_white_space_and_pasted_markers_are_cleaned() -> None:
    assert check_prompt(f"she says <S>{MARKER}hi<E>") == "she says <S>hi<E>"
    assert check_prompt("  a\n\tb  c ") == "a b c"


def test_speech_spans_come_in_order() -> None:
    assert speech_spans("one <S>Hello.<E> two <S> Good bye <E>") == ["Hello.", "Good bye"]
    assert speech_spans("silence") == []
    assert speech_spans("<S>7!<E><S>好。<E><S>مرحبا<E>") == ["7!", "好。", "مرحبا"]


def test_the_marker_is_one_token_behind_every_speech_start(tokenizer: ByT5Tokenizer) -> None:
    ids = tokenize(tokenizer, "a <S>b<E> <S>c<E>", 100)
    marker = tokenizer.convert_tokens_to_ids(MARKER)
    assert [i for i, token in enumerate(ids) if token == marker] == [5, 14]
    features = encode_prompts(tiny_text_encoder(), tokenizer, ["a <S>b<E> <S>c<E>", "plain"])
    assert features.marker_positions == [[5, 14], []]


def test_too_long_prompts_name_length_and_limit(tokenizer: ByT5Tokenizer) -> None:
    assert len(tokenize(tokenizer, "a" * 9, 10)) == 10
    with pytest.raises(VivaceError, match=r"11 tokens long and this model reads 10 \(a token is one byte"):
        tokenize(tokenizer, "a" * 10, 10)
    with pytest.raises(VivaceError, match="31 tokens"):
        tokenize(tokenizer, "語" * 10, 10)


def test_features_do_not_depend_on_neighbours_and_null_has_none(tokenizer: ByT5Tokenizer) -> None:
    encoder = tiny_text_encoder()
    with torch.no_grad():
        together = encode_prompts(encoder, tokenizer, ["a red ball", None, "a much longer prompt about drums"])
        alone = encode_prompts(encoder, tokenizer, ["a red ball"])
        nothing = encode_prompts(encoder, tokenizer, [None, None])
    assert [tuple(f.shape) for f in together.features] == [(11, 16), (0, 16), (33, 16)]
    torch.testing.assert_close(together.features[0], alone.features[0], atol=1e-5, rtol=1e-5)
    assert [tuple(f.shape) for f in nothing.features] == [(0, 16), (0, 16)]


def test_gradients_reach_the_encoder(tokenizer: ByT5Tokenizer) -> None:
    encoder = tiny_text_encoder()
    encode_prompts(encoder, tokenizer, ["a drum", None]).features[0].sum().backward()
    assert encoder.shared.weight.grad is not None
    assert encoder.shared.weight.grad.isfinite().all()
