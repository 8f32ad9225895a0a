import pytest
import torch

from vivace.errors import VivaceError
from vivace.sampling.noise import batch_noise, sample_noise, seeds_from


def test_a_sample_s_noise_does_not_depend_on_its_batch() -> None:
    together = batch_noise([3, 9, 4], "video", (4, 3, 2, 2))
    assert torch.equal(together[1], sample_noise(9, "video", (4, 3, 2, 2)))
    assert torch.equal(together[2:], batch_noise([4], "video", (4, 3, 2, 2)))


def test_modalities_and_seeds_have_their_own_streams() -> None:
    video = sample_noise(5, "video", (1, 10, 10, 10)).flatten()
    audio = sample_noise(5, "audio", (1000, 1)).flatten()
    other = sample_noise(6, "video", (1, 10, 10, 10)).flatten()
    for a, b in ((video, audio), (video, other)):
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1].item()) < 0.1


def test_a_longer_clip_begins_with_the_noise_of_the_shorter() -> None:
    assert torch.equal(sample_noise(1, "audio", (90, 8))[:52], sample_noise(1, "audio", (52, 8)))
    assert torch.equal(sample_noise(1, "video", (4, 9, 3, 2))[:, :5], sample_noise(1, "video", (4, 5, 3, 2)))


def test_noise_is_standard_normal_and_the_same_for_ever() -> None:
    noise = sample_noise(0, "audio", (20000,))
    assert abs(noise.mean().item()) < 0.03
    assert abs(noise.std().item() - 1) < 0.03
    # Pinned: a seed means the same clip on every machine and with every version.
    pinned = torch.tensor([-0.14091189205646515, 0.8753359913825989, 0.7073396444320679, 1.9699681997299194])
    assert torch.equal(noise[:4], pinned)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7", None, True])
def test_seeds_out_of_range_are_refused(seed) -> None:
    with pytest.raises(VivaceError, match="seed"):
        sample_noise(seed, "audio", (1, 1))


def test_seeds_come_from_generators_or_entropy() -> None:
    one = seeds_from(torch.Generator().manual_seed(1), 3)
    assert one == seeds_from(torch.Generator().manual_seed(1), 3)
    assert len(set(one)) == 3
    each = seeds_from([torch.Generator().manual_seed(k) for k in (5, 1)], 2)
    assert each[1] == one[0]
    assert seeds_from(None, 2) != seeds_from(None, 2)
    with pytest.raises(VivaceError, match="generators"):
        seeds_from([torch.Generator()], 2)
