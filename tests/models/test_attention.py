import pytest
import torch
import torch.nn.functional as F

from vivace.models.attention import Attention, attention, padding_bias


def inputs(dtype=torch.float32, keys=11):
    torch.manual_seed(0)
    return [torch.randn(2, n, 3, 8, dtype=dtype, requires_grad=True) for n in (7, keys, keys)]


def formula(query, key, value, bias=None):
    scores = torch.einsum("bqhd,bkhd->bhqk", query.double(), key.double()) / query.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias.double()[:, None, None, :]
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value.double())


BIASES = {
    "none": None,
    "shared": torch.linspace(-2, 2, 11)[None],
    "by sample": torch.stack((torch.zeros(11), torch.linspace(-1, 3, 11))),
    "hidden": padding_bias([11, 4], 11, torch.device("cpu")),
}


@pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("training", [True, False])
def test_every_path_is_the_plain_formula(bias, dtype, near, training):
    query, key, value = inputs(dtype)
    expected = formula(query, key, value, bias)
    with torch.set_grad_enabled(training):
        out = Attention()(query, key, value, bias)
    assert out.dtype == dtype
    assert torch.allclose(out.double(), expected, atol=near)
    assert torch.allclose(attention(query, key, value, bias).double(), expected, atol=near)


@pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
def test_gradients_of_both_cpu_paths_agree(bias):
    grads = []
    for path in (attention, Attention()):
        parts = inputs()
        path(*parts, bias).square().sum().backward()
        grads.append([x.grad for x in parts])
    parts = inputs()
    formula(*parts, bias).square().sum().backward()
    for path_grads in grads:
        for mine, plain in zip(path_grads, (x.grad for x in parts), strict=True):
            assert torch.allclose(mine, plain.float(), atol=1e-5)


def test_hidden_keys_have_no_influence_at_all():
    query, key, value = inputs()
    other = value.detach().clone()
    other[1, 4:] = 1e6
    bias = BIASES["hidden"]
    for path in (attention, Attention()):
        assert torch.equal(path(query, key, value, bias)[1], path(query, key, other, bias)[1])


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_a_chosen_backend_is_used(backend, monkeypatch):
    query, key, value = inputs()
    module = Attention()
    module.set_attention_backend(backend)
    calls = []
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy(F.scaled_dot_product_attention, calls))
    out = module(query, key, value, BIASES["shared"])
    assert calls
    assert torch.allclose(out.double(), formula(query, key, value, BIASES["shared"]), atol=1e-6)


def spy(function, calls):
    def wrapped(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)

    return wrapped


def test_nothing_is_hidden_where_nothing_is_padded():
    assert padding_bias([4, 4], 4, torch.device("cpu")) is None
