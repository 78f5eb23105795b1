"""A small transformer that turns noise into pictures or latents, by flow matching.

The model is a diffusion transformer (Peebles & Xie 2023, arXiv 2212.09748) with the loss of
rectified flow (Liu, Gong & Liu 2023, arXiv 2209.03003): between noise n at t = 0 and data x at
t = 1 on a straight line, it predicts x − n.
Only functions here import torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Positions", "Shape", "build"]

Tensor = Any  # torch's, which is seldom there
Positions = Literal["learned", "quiet", "sines", "none"]

_FREQUENCIES = 32  # of the embedding of time
_TIMES = 1000.0  # radians: the fastest of them over t from 0 to 1
_DEVIATION = {"learned": 1.0, "quiet": 0.02}  # of positions before training
_SLOWEST = 1e-2  # radians a patch: the slowest sine of a position


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model is made of.

    Parameters
    ----------
    channels, side : int
        Of what it makes.
    patch : int
        Side of a token.
    width, layers, heads : int
    positions : str
        ``learned``: a vector a token, drawn as `torch.nn.Embedding` draws it, with a deviation
        of 1; ``quiet``: the same with 0.02, as vision transformers have it; ``sines``: fixed
        sines of row and column; ``none``: a token does not know its place.
    """

    channels: int
    side: int
    patch: int = 4
    width: int = 192
    layers: int = 4
    heads: int = 4
    positions: Positions = "learned"

    @property
    def tokens(self) -> int:
        """How many tokens a picture is."""
        return (self.side // self.patch) ** 2

    @property
    def token(self) -> int:
        """How many numbers a token is."""
        return self.channels * self.patch**2


def build(shape: Shape) -> Any:
    """Return a model: called with x of shape (B, C, S, S) and t of shape (B,), it gives a flow."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    width, heads = shape.width, shape.heads

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.LayerNorm(width, elementwise_affine=False)
            self.second = nn.LayerNorm(width, elementwise_affine=False)
            self.query_key_value = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.grow = nn.Linear(width, 4 * width)
            self.shrink = nn.Linear(4 * width, width)
            self.condition = nn.Linear(width, 6 * width)
            nn.init.zeros_(self.condition.weight)
            nn.init.zeros_(self.condition.bias)

        def forward(self, x: Tensor, condition: Tensor) -> Tensor:
            scale, shift, gate, scale_2, shift_2, gate_2 = (
                self.condition(condition)[:, None].chunk(6, -1)
            )  # fmt: skip
            batch, tokens, _ = x.shape
            y = self.query_key_value(self.first(x) * (1 + scale) + shift)
            split = y.view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            # In so many words: on a CPU the fused kernel takes three times as long backwards.
            weights = (split[0] @ split[1].transpose(-1, -2)) * (width // heads) ** -0.5
            y = weights.softmax(-1).to(split.dtype) @ split[2]
            x = x + gate * self.out(y.transpose(1, 2).reshape(batch, tokens, width))
            y = self.grow(self.second(x) * (1 + scale_2) + shift_2).relu()  # GELU takes a sixth
            return x + gate_2 * self.shrink(y)

    class Transformer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(shape.token, width)
            self.time = nn.Sequential(
                nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
            )
            self.blocks = nn.ModuleList([Block() for _ in range(shape.layers)])
            self.norm = nn.LayerNorm(width)
            self.out = nn.Linear(width, shape.token)
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)
            if shape.positions in _DEVIATION:
                drawn = torch.randn(1, shape.tokens, width)
                self.place = nn.Parameter(_DEVIATION[shape.positions] * drawn)
            elif shape.positions == "sines":
                self.register_buffer("place", _sines(shape))

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            rates = torch.exp(torch.linspace(0, math.log(_TIMES), _FREQUENCIES))
            angles = t[:, None] * rates
            condition = functional.silu(self.time(torch.cat([angles.sin(), angles.cos()], -1)))
            y = self.embed(functional.unfold(x, shape.patch, stride=shape.patch).transpose(1, 2))
            if shape.positions != "none":
                y = y + self.place
            for block in self.blocks:
                y = block(y, condition)
            y = self.out(self.norm(y)).transpose(1, 2)
            size = (shape.side, shape.side)
            return functional.fold(y.float(), size, shape.patch, stride=shape.patch)

    return Transformer()


def _sines(shape: Shape) -> Tensor:
    """Return fixed sines and cosines of row and column, shape (1, tokens, width)."""
    import torch  # noqa: PLC0415

    rates = torch.logspace(0, math.log10(_SLOWEST), shape.width // 4)
    place = torch.arange(shape.side // shape.patch)[:, None] * rates
    waves = torch.cat([place.sin(), place.cos()], -1)
    count = len(waves)
    rows = waves[:, None].expand(count, count, -1)
    columns = waves[None].expand(count, count, -1)
    return torch.cat([rows, columns], -1).reshape(1, shape.tokens, -1)
