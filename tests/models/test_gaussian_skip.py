import pytest
import torch
from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.gaussian_skip import GaussianSkip
from vivace.models.layers import patchify, unpatchify
from vivace.models.nava import NavaTransformer
from vivace.pair import AV

SIZES = {"video_channels": 4, "audio_channels": 8, "dim": 24, "ffn_dim": 32, "freq_dim": 16, "num_heads": 2}
SIZES |= {"num_double_layers": 1, "num_single_layers": 1, "text_dim": 6, "speaker_dim": 0, "text_len": 8}


def draw(count: int, channels: int = 6, seed: int = 0) -> Tensor:
    """Tokens of one large and five small directions, not along the axes."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(channels, channels, generator=torch.Generator().manual_seed(9)))[0]
    spread = torch.tensor([5.0, 1.0, 0.9, 0.8, 0.7, 0.6])
    return (torch.randn(count, channels, generator=generator) * spread) @ turn + 0.5


def fitted() -> GaussianSkip:
    skip = GaussianSkip(6)
    skip.fit([draw(200_000)[:, None]])
    return skip


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9, 1.0])
def test_no_linear_map_tells_a_gaussians_velocity_better(sigma: float) -> None:
    clean, noise = draw(100_000, seed=1), torch.randn(100_000, 6, generator=torch.Generator().manual_seed(2))
    noisy, velocity = (1 - sigma) * clean + sigma * noise, noise - clean
    known = torch.cat((noisy, torch.ones(len(noisy), 1)), dim=1)
    best = known @ torch.linalg.lstsq(known, velocity).solution
    told = fitted()(noisy[None], torch.tensor([1000 * sigma]))[0]
    error, least = ((x - velocity).square().mean() for x in (told, best))
    assert error <= 1.01 * least


def test_each_token_may_have_its_own_timestep() -> None:
    skip, x = fitted(), draw(8).view(2, 4, 6)
    times = torch.tensor([[0.0, 200.0, 500.0, 1000.0], [900.0, 900.0, 10.0, 0.0]])
    told = skip(x, times)
    for sample in range(2):
        for place in range(4):
            alone = skip(x[sample : sample + 1, place : place + 1], times[sample, place : place + 1])
            assert torch.allclose(told[sample, place], alone[0, 0], atol=1e-5)
    assert torch.allclose(skip(x, torch.tensor([300.0])), skip(x, torch.tensor([300.0, 300.0])))


def test_balance_evens_out_directions_and_keeps_their_sum() -> None:
    skip, errors = fitted(), draw(100_000, seed=3) - 0.5
    assert torch.allclose(skip.balanced(errors, 0.0).square().sum(1), errors.square().sum(1), rtol=1e-4)
    spreads = {power: skip.balanced(errors, power).var(0) for power in (0.0, 0.5, 1.0)}
    for spread in spreads.values():
        assert spread.sum() == pytest.approx(float(errors.var(0).sum()), rel=0.08)  # the floor again
    ratios = [float(spread.max() / spread.min()) for spread in spreads.values()]
    assert ratios[0] > 60
    assert ratios[1] == pytest.approx(ratios[0] ** 0.5, rel=0.1)
    assert ratios[2] == pytest.approx(1, abs=0.2)


def test_few_tokens_make_it_modest_and_none_that_differ_are_refused() -> None:
    few, many = GaussianSkip(6), fitted()
    few.fit([draw(4)[:, None]])
    assert few.fitted
    assert float(few.variance.max() / few.variance.min()) < 0.2 * float(many.variance.max() / many.variance.min())
    nothing = GaussianSkip(6)
    with pytest.raises(VivaceError, match="3 tokens without any difference"):
        nothing.fit([torch.ones(3, 1, 6)])
    assert not nothing.fitted


def staying(moments: int, places: int, count: int = 400, seed: int = 4) -> list[Tensor]:
    """Clips whose first direction mostly stays the same, and whose others change."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(9)))[0]
    still = torch.randn(count, 1, places, 6, generator=generator) * torch.tensor([5.0, 1.0, 0.5, 0.5, 0.1, 0.1])
    moving = torch.randn(count, moments, places, 6, generator=generator) * torch.tensor([0.6, 0.4, 1, 0.3, 0.6, 0.5])
    return list((still + moving) @ turn + 0.5)


@pytest.mark.parametrize(("moments", "places"), [(5, 3), (1, 2), (9, 1)])
def test_what_stays_is_told_by_all_moments_as_by_bayes_rule(moments: int, places: int) -> None:
    skip = GaussianSkip(6, stays=True)
    skip.fit(staying(5, 3))
    assert skip.still is not None
    sigma = torch.linspace(0.0, 1.0, moments * places).view(moments, places)  # of every token its own
    x = torch.randn(1, moments * places, 6, generator=torch.Generator().manual_seed(5))
    told = skip(x, 1000 * sigma.view(1, -1), places)[0].view(moments, places, 6)
    along = ((x[0] - (1 - sigma.view(-1, 1)) * skip.mean) @ skip.basis).view(moments, places, 6).double()
    for place in range(places):
        a, b = 1 - sigma[:, place].double(), sigma[:, place].double()
        for d in range(6):
            u, v = float(skip.still[d]), float(skip.variance[d])
            clean = u * torch.ones(moments, moments) + v * torch.eye(moments)
            clean = clean.double()
            noisy = a[:, None] * clean * a + torch.diag(b**2)
            velocity = (torch.diag(b) - clean * a) @ torch.linalg.solve(noisy, along[:, place, d])
            own = (told[:, place] + skip.mean) @ skip.basis
            assert torch.allclose(own[:, d].double(), velocity, atol=1e-3, rtol=1e-3)


def test_what_stays_and_what_moves_is_found_in_clips_of_any_length() -> None:
    skip = GaussianSkip(6, stays=True)
    skip.fit([*staying(5, 3), *staying(9, 2, seed=6)])
    assert skip.still is not None
    assert float(skip.still.max()) == pytest.approx(25, rel=0.1)
    assert float((skip.still + skip.variance).sum()) == pytest.approx(25 + 1 + 0.52 + 2.22, rel=0.1)
    without = GaussianSkip(6, stays=True)
    without.fit([draw(60, seed=k)[:, None] for k in range(200)])
    assert float(without.still.sum()) < 0.02 * float(without.variance.sum())  # type: ignore[union-attr]


def test_clips_of_one_moment_do_not_tell_what_stays() -> None:
    skip, plain = GaussianSkip(6, stays=True), GaussianSkip(6)
    clips = [draw(3, seed=k)[None] for k in range(100)]
    skip.fit(clips)
    plain.fit(clips)
    x, times = draw(6, seed=1)[None], torch.tensor([[0.0, 0.0, 300.0, 300.0, 1000.0, 1000.0]])
    assert torch.allclose(skip(x, times, 2), plain(x, times), atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_balance_counts_what_stays_as_one_direction(power: float) -> None:
    skip, clips = GaussianSkip(6, stays=True), torch.stack(staying(5, 3, 4000))
    skip.fit(list(clips))
    errors = (clips - skip.mean).flatten(1, 2)
    out = skip.balanced(errors, power, 3).unflatten(1, (5, 3))
    assert float(out.square().sum() / errors.square().sum()) == pytest.approx(1, rel=0.05)
    lasting = 5 * out.mean(1).square().mean((0, 1))
    moving = (out - out.mean(1, keepdim=True)).square().sum(1).mean((0, 1)) / 4
    ratio = float(lasting.max() / moving[int(lasting.argmax())])
    assert ratio == pytest.approx((5 * 25 / 0.36 + 1) ** (1 - power), rel=0.2)


def model(**changes: bool) -> NavaTransformer:
    torch.manual_seed(0)
    made = NavaTransformer(**SIZES, gaussian_skip=True, **changes).eval()
    assert made.skips is not None
    made.skips.video.fit([torch.randn(400, 1, 16) @ torch.randn(16, 16)])
    made.skips.audio.fit([torch.randn(400, 1, 8) @ torch.randn(8, 8)])
    return made


@torch.no_grad()
def test_an_untrained_transformer_says_what_the_skips_say_and_nothing_else() -> None:
    nava = model()
    x = AV(torch.randn(2, 4, 3, 4, 6), torch.randn(2, 7, 8))
    times = AV(torch.tensor([300.0, 900.0]), torch.tensor([[500.0] * 6 + [0.0]] * 2))
    out = nava(x, times, nava.encode_context([torch.randn(3, 6), torch.randn(5, 6)]))
    video = unpatchify(nava.skips.video(patchify(x.video, (1, 2, 2)), times.video), (3, 2, 3), (1, 2, 2))
    assert torch.allclose(out.video, video, atol=1e-5)
    assert torch.allclose(out.audio, nava.skips.audio(x.audio, times.audio), atol=1e-5)


@pytest.mark.parametrize("still", [False, True])
@torch.no_grad()
def test_samples_of_different_size_are_answered_as_if_alone(still: bool) -> None:
    nava = model(still_skip=still)
    torch.nn.init.normal_(nava.video_head.linear.weight, std=0.1)
    torch.nn.init.normal_(nava.audio_head.linear.weight, std=0.1)
    x = AV([torch.randn(4, 3, 4, 6), torch.randn(4, 2, 3, 4)], [torch.randn(7, 8), torch.randn(5, 8)])
    times = torch.tensor([300.0, 900.0])
    text = [torch.randn(3, 6), torch.randn(5, 6)]
    out = nava(x, AV(times, times), nava.encode_context(text))
    for k in range(2):
        at = times[k : k + 1]
        one = x.map(lambda side: side[k][None])  # noqa: B023 - used at once
        alone = nava(one, AV(at, at), nava.encode_context(text[k : k + 1]))
        assert torch.allclose(out.video[k], alone.video[0], atol=1e-5)
        assert torch.allclose(out.audio[k], alone.audio[0], atol=1e-5)


@pytest.mark.parametrize("still", [False, True])
@torch.no_grad()
def test_the_skips_are_saved_with_the_weights(tmp_path, still: bool) -> None:
    nava = model(still_skip=still)
    nava.save_pretrained(tmp_path)
    back = NavaTransformer.from_pretrained(tmp_path)
    assert torch.equal(back.skips.video.basis, nava.skips.video.basis)
    assert back.skips.audio.fitted
    assert (back.skips.audio.still is not None) == still
    assert not any("skip" in name for name, _ in nava.named_parameters())
