"""RAFT (Teed and Deng 2020, arXiv 2003.12039): where each pixel of a picture is in the next one.

Every cell of an eighth of the size is compared with every cell of the next picture once; a recurrent unit then looks
its own surroundings up in these comparisons again and again and corrects the flow. Written from the paper; modules have
the public weights' names, so that no names are mapped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 8  # pixels
LEVELS, RADIUS = 4, 4
# Of the coarsest level two cells must be left, or places in it cannot be told apart.
SHORTEST = 2 * CELL * 2 ** (LEVELS - 1)
HIDDEN = 128


class _Residual(nn.Module):
    """Two convolutions of 3 x 3 beside a way past them."""

    def __init__(self, enter: int, leave: int, stride: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(enter, leave, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(leave, leave, 3, padding=1)
        self.norm1, self.norm2 = norm(leave), norm(leave)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            # The public weights name this norm twice.
            self.norm3 = norm(leave)
            self.downsample = nn.Sequential(nn.Conv2d(enter, leave, 1, stride), self.norm3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        return F.relu(self.downsample(x) + y)


class _Encoder(nn.Module):
    """Pictures [B, 3, H, W] to features [B, leave, H/8, W/8]."""

    def __init__(self, widths: tuple[int, int, int], leave: int, norm: type[nn.Module]) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(3, first, 7, 2, padding=3)
        self.norm1 = norm(first)
        self.layer1 = nn.Sequential(_Residual(first, first, 1, norm), _Residual(first, first, 1, norm))
        self.layer2 = nn.Sequential(_Residual(first, second, 2, norm), _Residual(second, second, 1, norm))
        self.layer3 = nn.Sequential(_Residual(second, third, 2, norm), _Residual(third, third, 1, norm))
        self.conv2 = nn.Conv2d(third, leave, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class _MotionEncoder(nn.Module):
    """What is looked up, and the flow so far, to [B, hidden, h, w]; the last two channels are the flow itself."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(LEVELS * (2 * RADIUS + 1) ** 2, 2 * hidden, 1)
        self.convc2 = nn.Conv2d(2 * hidden, hidden * 3 // 2, 3, padding=1)
        self.convf1 = nn.Conv2d(2, hidden, 7, padding=3)
        self.convf2 = nn.Conv2d(hidden, hidden // 2, 3, padding=1)
        self.conv = nn.Conv2d(hidden * 2, hidden - 2, 3, padding=1)

    def forward(self, flow: Tensor, found: Tensor) -> Tensor:
        seen = F.relu(self.convc2(F.relu(self.convc1(found))))
        moved = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([seen, moved], 1))), flow], 1)


class _SeparableGru(nn.Module):
    """A gated recurrent unit of convolutions: along rows, then along columns."""

    def __init__(self, hidden: int, enter: int) -> None:
        super().__init__()
        for number, kernel in ((1, (1, 5)), (2, (5, 1))):
            padding = (kernel[0] // 2, kernel[1] // 2)
            for gate in "zrq":
                self.add_module(f"conv{gate}{number}", nn.Conv2d(hidden + enter, hidden, kernel, padding=padding))

    def forward(self, state: Tensor, x: Tensor) -> Tensor:
        for number in (1, 2):
            update, reset, propose = (self.get_submodule(f"conv{gate}{number}") for gate in "zrq")
            both = torch.cat([state, x], 1)
            z, r = torch.sigmoid(update(both)), torch.sigmoid(reset(both))
            state = (1 - z) * state + z * torch.tanh(propose(torch.cat([r * state, x], 1)))
        return state


class _FlowHead(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(hidden, 2 * hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(2 * hidden, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x)))


class _Update(nn.Module):
    """One correction of the flow, and the weights by which it is brought to full size."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.encoder = _MotionEncoder(hidden)
        self.gru = _SeparableGru(hidden, 2 * hidden)
        self.flow_head = _FlowHead(hidden)
        self.mask = nn.Sequential(
            nn.Conv2d(hidden, 2 * hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(2 * hidden, 9 * CELL**2, 1)
        )

    def forward(self, state: Tensor, context: Tensor, found: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        state = self.gru(state, torch.cat([context, self.encoder(flow, found)], 1))
        return state, self.flow_head(state)


class Raft(nn.Module):
    """The large network.

    Args:
        hidden: channels of the recurrent unit, a multiple of 4, of which all other widths are multiples; 128 is the
            published network.
    """

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        widths = (hidden // 2, hidden * 3 // 4, hidden)
        self.fnet = _Encoder(widths, 2 * hidden, nn.InstanceNorm2d)
        self.cnet = _Encoder(widths, 2 * hidden, nn.BatchNorm2d)
        self.update_block = _Update(hidden)

    def features(self, pictures: Tensor) -> Tensor:
        """What a picture is compared by: [B, 3, H, W] from -1 to 1 to [B, 2 hidden, H/8, W/8]."""
        return self.fnet(pictures)

    def forward(self, pictures: Tensor, first: Tensor, second: Tensor, steps: int = 20) -> Tensor:
        """Flow in pixels, right and down, [B, 2, H, W].

        Args:
            pictures: the first ones, [B, 3, H, W] from -1 to 1, both sides at least `SHORTEST` and multiples of 8.
            first, second: `features` of these and of those that follow. steps: corrections.
        """
        state, context = self.cnet(pictures).chunk(2, 1)
        state, context = torch.tanh(state), F.relu(context)
        pyramid = _comparisons(first, second)
        start = _places(first)
        now = start
        for _ in range(steps):
            state, change = self.update_block(state, context, _looked_up(pyramid, now), now - start)
            now = now + change
        # The weights' scale of a quarter balances gradients in training; the public weights expect it.
        return _enlarged(now - start, 0.25 * self.update_block.mask(state))


def _places(features: Tensor) -> Tensor:
    """Place (x, y) of every cell, [B, 2, h, w]."""
    batch, _, tall, broad = features.shape
    rows, columns = torch.meshgrid(torch.arange(tall), torch.arange(broad), indexing="ij")
    return torch.stack([columns, rows]).to(features)[None].expand(batch, -1, -1, -1)


def _comparisons(first: Tensor, second: Tensor) -> list[Tensor]:
    """Products of every cell with every cell of the second, [B h w, 1, h, w], and their means over 2, 4 and 8 cells."""
    batch, dim, tall, broad = first.shape
    products = torch.einsum("bcn,bcm->bnm", first.flatten(2), second.flatten(2)) / dim**0.5
    levels = [products.reshape(batch * tall * broad, 1, tall, broad)]
    while len(levels) < LEVELS:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def _looked_up(pyramid: list[Tensor], places: Tensor) -> Tensor:
    """The comparisons around each cell's place, [B, 4 * 81, h, w]; of a window the horizontal step is the outer one."""
    batch, _, tall, broad = places.shape
    steps = torch.arange(-RADIUS, RADIUS + 1).to(places)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    middles = places.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    found = []
    for level, products in enumerate(pyramid):
        most = torch.tensor([products.shape[-1] - 1, products.shape[-2] - 1]).to(places)
        grid = 2 * (middles / 2**level + window) / most - 1
        values = F.grid_sample(products, grid, align_corners=True)  # 0 outside
        found.append(values.reshape(batch, tall, broad, -1))
    return torch.cat(found, -1).permute(0, 3, 1, 2)


def _enlarged(flow: Tensor, mask: Tensor) -> Tensor:
    """Flow [B, 2, h, w] in cells to pixels [B, 2, 8h, 8w]: each a weighted mean of the nine cells around it."""
    batch, _, tall, broad = flow.shape
    weights = mask.reshape(batch, 1, 9, CELL, CELL, tall, broad).softmax(2)
    around = F.unfold(CELL * flow, 3, padding=1).reshape(batch, 2, 9, 1, 1, tall, broad)
    fine = (weights * around).sum(2)  # [B, 2, row in the cell, column in it, h, w]
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, CELL * tall, CELL * broad)
