import pytest
import torch

from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import official_names
from vivace.models.nava_sizes import PUBLISHED, nearest_size

# Of one block of the release, and of everything outside of the blocks.
DOUBLE, SINGLE, REST = 239_209_472, 163_656_704, 631_766_720
PARAMETERS = {
    "6b": 6_296_995_520,
    "6b-split": 7_178_034_880,
    "tiny": 1_115_165_780,
    "20d10s": REST + 20 * DOUBLE + 10 * SINGLE,
    "30d": REST + 30 * DOUBLE,
    "5d20s5d": REST + 10 * DOUBLE + 20 * SINGLE,
    "30s": REST + 30 * SINGLE,
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_every_published_size_has_its_parameters(size: str) -> None:
    with torch.device("meta"):
        model = NavaTransformer(**PUBLISHED[size])
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[size]
    assert len(model.double_blocks) + len(model.single_blocks) + len(model.double_final_blocks) in (20, 30)


@pytest.mark.parametrize("size", PUBLISHED)
def test_a_size_is_told_by_its_names(size: str) -> None:
    names = list(official_names(PUBLISHED[size]).values())
    assert nearest_size(names) == (size, 1.0)
    assert nearest_size(name.removeprefix("backbone.") for name in names[5:])[0] == size
    assert nearest_size(["conv1.weight", "blocks.0.self_attn.q.weight"])[1] < 0.1


@pytest.mark.parametrize(("text_dim", "dim"), [(32, 64), (192, 256), (512, 384)])
def test_text_and_time_begin_at_one_size_whatever_the_width(text_dim: int, dim: int) -> None:
    torch.manual_seed(0)
    blocks = {"num_double_layers": 1, "num_single_layers": 0, "ffn_dim": 64, "num_heads": 4}
    model = NavaTransformer(text_dim=text_dim, dim=dim, speaker_dim=None, **blocks)
    with torch.no_grad():
        tokens = model.text_embedding(torch.randn(64, text_dim))
        time = model.time_embedding(torch.randn(64, 256) * 0.5**0.5)
    assert 0.6 < tokens.square().mean().sqrt() < 1.0  # unit features, as a text encoder's last norm gives them
    assert 0.09 < time.square().mean().sqrt() < 0.16
    # NAVA's own 0.02 at the released widths.
    assert model.time_embedding[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
    wide = NavaTransformer(text_dim=4096, dim=dim, speaker_dim=None, **blocks)
    assert wide.text_embedding[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
