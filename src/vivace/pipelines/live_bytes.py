"""Counting the bytes of tensors that are alive, while real or weightless modules run."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_VALUES = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)


class LiveBytes(TorchDispatchMode):
    """While active, `live` is the bytes of all storages made since and not freed, `peak` their largest sum.

    A storage counts once however many views it has. What kernels allocate inside of themselves is not seen, nor what an
    allocator rounds up. Weights of `known` modules do not count.

    Args:
        devices: kinds of device to count, such as ("cuda",); None for all.
    """

    def __init__(self, known: Iterable[nn.Module] = (), devices: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._devices = devices
        self._seen = {
            tensor.untyped_storage()._cdata for module in known for tensor in (*module.parameters(), *module.buffers())
        }

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            out = func(*args, **(kwargs or {}))
        except (DataDependentOutputException, RuntimeError):
            # A weightless tensor has no value; code that asks for one here uses it as a bound, never as a length.
            if func not in _VALUES:
                raise
            return 1.0 if args[0].dtype.is_floating_point else 1
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and (self._devices is None or leaf.device.type in self._devices):
                self._see(leaf)
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        # Python's object of a storage lives as long as the storage itself.
        weakref.finalize(storage, self._gone, key, size).atexit = False

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size

    def restart(self) -> int:
        """The peak so far; the next one starts from what is alive now."""
        peak, self.peak = self.peak, self.live
        return peak


class FlashAttention(TorchFunctionMode):
    """Attention on weightless tensors as the kernels of a GPU do it: without ever holding the scores."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            query, value = (
                kwargs.get("query", args[0] if args else None),
                kwargs.get("value", args[2] if args else None),
            )
            return torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
        return func(*args, **kwargs)
