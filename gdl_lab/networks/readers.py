r"""Two families of networks that read pictures: by convolutions, and by mixing patches.

Both read well and are alike in nothing but the readout, so that one can be asked about what fools the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from gdl_lab import checkpoints

__all__ = ["ConvolutionalReader", "MixerReader", "Reader"]


class Reader(nn.Module):
    """A network from pictures to answers that can be saved: logits of classes, or one number.

    A subclass defines ``features`` and hands its constructor's arguments on as ``architecture``, from which `load`
    builds it again.

    Args:
        shape: of one picture, ``(channels, height, width)``.
        outputs: number of classes, for logits ``(batch, outputs)``; ``None`` for one number each, ``(batch,)``.
        features: number of features that the linear readout gets.
    """

    kinds: ClassVar[dict[str, type[Reader]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Reader.kinds[cls.__name__] = cls

    def __init__(
        self, shape: Sequence[int], outputs: int | None, *, features: int, architecture: dict[str, Any]
    ) -> None:
        super().__init__()
        if outputs is not None and outputs < 2:
            raise ValueError(f"expected at least 2 classes, or None for a number, got {outputs}")
        self.shape = tuple(shape)
        self.outputs = outputs
        self.architecture = {"shape": list(shape), "outputs": outputs, **architecture}
        self.readout = nn.Linear(features, outputs or 1)

    def features(self, x: Tensor) -> Tensor:
        """``(batch, channels, height, width)`` → ``(batch, features)``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits or numbers of pictures, which may be flattened: ``(batch, …)`` → ``(batch, outputs)`` or ``(batch,)``.

        Raises:
            ValueError: pictures of another size.
        """
        if x.shape[1:] != self.shape:
            if math.prod(x.shape[1:]) != math.prod(self.shape):
                raise ValueError(f"expected pictures of shape {self.shape}, got a batch of shape {tuple(x.shape)}")
            x = x.reshape(-1, *self.shape)
        answers = self.readout(self.features(x - 0.5))
        return answers.squeeze(1) if self.outputs is None else answers

    def save(self, path: str | Path) -> None:
        """Write weights and architecture to a safetensors file.

        Raises:
            CheckpointError: the file cannot be written.
        """
        checkpoints.write(path, self.state_dict(), {"reader": type(self).__name__, **self.architecture})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The reader that `save` wrote, on the CPU and in its dtype, in evaluation mode.

        Raises:
            CheckpointError: the file is missing, damaged, or holds something else.
        """
        kinds = {name: kind for name, kind in cls.kinds.items() if issubclass(kind, cls)}
        return checkpoints.rebuild(path, "reader", kinds, cls.__name__)


class ConvolutionalReader(Reader):
    """Stages of two 3×3 convolutions with batch normalisation and ReLU; the second of each halves the picture.

    Args:
        shape: of one picture, ``(channels, height, width)``.
        outputs: as for `Reader`.
        widths: channels of each stage.
    """

    def __init__(self, shape: Sequence[int], outputs: int | None, widths: Sequence[int] = (16, 32, 64)) -> None:
        channels, height, width = shape
        for _ in widths:
            height, width = -(-height // 2), -(-width // 2)
        super().__init__(shape, outputs, features=widths[-1] * height * width, architecture={"widths": list(widths)})
        self.stages = nn.Sequential()
        for wider in widths:
            for m, stride in ((channels, 1), (wider, 2)):
                convolution = nn.Conv2d(m, wider, 3, stride, padding=1, bias=False)  # the normalisation has a bias
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                self.stages.extend([convolution, nn.BatchNorm2d(wider), nn.ReLU()])
            channels = wider

    def features(self, x: Tensor) -> Tensor:
        return self.stages(x).flatten(1)


class MixerReader(Reader):
    """Patches become vectors, and layers mix, in turn, the places of each feature and the features of each place.

    Args:
        shape: of one picture, ``(channels, height, width)``.
        outputs: as for `Reader`.
        patch: side of a patch in pixels; it divides the picture's sides.
        width: features of a patch.
        depth: number of layers.

    Source: Tolstikhin et al. (2021), MLP-Mixer; with ReLU, which is cheaper on a CPU than their GELU.
    """

    def __init__(
        self, shape: Sequence[int], outputs: int | None, patch: int = 4, width: int = 64, depth: int = 3
    ) -> None:
        super().__init__(shape, outputs, features=width, architecture={"patch": patch, "width": width, "depth": depth})
        channels, height, breadth = shape
        if height % patch or breadth % patch:
            raise ValueError(f"patches of side {patch} do not tile a picture of {height}×{breadth}")
        self.patches = nn.Conv2d(channels, width, patch, patch)
        places = height * breadth // patch**2
        self.layers = nn.ModuleList(_Mixing(places, width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def features(self, x: Tensor) -> Tensor:
        z = self.patches(x).flatten(2).mT
        for layer in self.layers:
            z = layer(z)
        return self.norm(z).mean(1)


class _Mixing(nn.Module):
    """``(batch, places, width)`` → the same shape."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.of_places, self.of_features = (
            nn.Sequential(nn.Linear(n, 2 * n), nn.ReLU(), nn.Linear(2 * n, n)) for n in (places, width)
        )

    def forward(self, z: Tensor) -> Tensor:
        z = z + self.of_places(self.norms[0](z).mT).mT
        return z + self.of_features(self.norms[1](z))
