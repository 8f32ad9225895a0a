import pytest
import torch
from torch import nn

from vivace.training.muon import Muon, orthogonalise, split_parameters


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 40), (2, 40, 8)])
def test_orthogonalised_matrices_keep_their_subspaces_and_lose_their_scales(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape) * torch.tensor(100.0)
    result = orthogonalise(matrices)
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.diagonal(u.mT @ result @ vt.mT, dim1=-2, dim2=-1)
    assert values.min() > 0.3
    assert values.max() < 1.3
    rest = result - u @ torch.diag_embed(values) @ vt
    assert rest.abs().max() < 1e-3


def test_an_update_has_the_size_of_the_rate_whatever_the_gradient() -> None:
    for scale in (1e-4, 1e4):
        torch.manual_seed(1)
        parameter = nn.Parameter(torch.zeros(16, 4, 3, 3))
        optimizer = Muon([parameter], lr=0.01)
        parameter.grad = torch.randn_like(parameter) * scale
        optimizer.step()
        rms = parameter.detach().square().mean().sqrt().item()
        assert rms == pytest.approx(0.2 * 0.01, rel=0.35)


def test_it_solves_a_regression_faster_than_its_own_start() -> None:
    torch.manual_seed(2)
    truth = torch.randn(6, 10)
    layer = nn.Linear(10, 6, bias=False)
    x = torch.randn(64, 10)
    optimizer = Muon(layer.parameters(), lr=0.4)
    losses = []
    for step in range(80):
        # Its updates have a constant size, so it settles only as the rate falls.
        optimizer.param_groups[0]["lr"] = 0.4 * (1 - step / 80)
        loss = (layer(x) - x @ truth.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


def test_vectors_are_refused_and_split_off() -> None:
    with pytest.raises(ValueError, match="matrices"):
        Muon([nn.Parameter(torch.zeros(3))])
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 1))
    matrices, rest = split_parameters(model.named_parameters(), ("2.weight",))
    assert [tuple(p.shape) for p in matrices] == [(4, 2, 3)]
    assert len(rest) == len(list(model.parameters())) - 1
