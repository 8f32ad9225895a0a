import pytest
import torch

from vivace.device import usable_device
from vivace.errors import VivaceError


@pytest.mark.parametrize("name", ["meta", "gpu", "cuda:77"])
def test_a_device_that_computes_nothing_is_refused(name):
    assert usable_device("cpu") == torch.device("cpu")
    with pytest.raises(VivaceError, match=rf"device '{name}' cannot be used .*; try cpu\.$"):
        usable_device(name)
