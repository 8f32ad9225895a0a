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
