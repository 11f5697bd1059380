"""Checkpoints of flows: given back bit by bit, refused with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gdl_lab.flows import Flow, Glow, RealNVP, load
from gdl_lab.training import CheckpointError
from tests.every_flow import FLOWS, each_flow, randomised


def saved(flow: Flow, path: Path) -> Path:
    flow.save(path)
    return path


@each_flow
def test_a_checkpoint_gives_the_flow_back_bit_by_bit(name: str, tmp_path: Path, rng: torch.Generator) -> None:
    for kind in (torch.float32, torch.float64):
        flow = randomised(FLOWS[name](rng), rng).to(kind)
        twin = load(saved(flow, tmp_path / "deep" / "flow.safetensors"))
        assert type(twin) is type(flow)
        z = torch.randn(3, flow.dim, generator=rng).to(kind)
        assert torch.equal(twin.push(z), flow.push(z))
        if "uniform" in name:
            assert twin.architecture["base"] == "uniform"
        assert twin.state_dict().keys() == flow.state_dict().keys()
        assert [p.name for p in (tmp_path / "deep").iterdir()] == ["flow.safetensors"], "no partial file stays"


def test_bad_checkpoints_say_what_is_wrong(tmp_path: Path) -> None:
    good = saved(RealNVP(2, 2, (4,)), tmp_path / "good")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*missing: check the name"):
        load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load(tmp_path)
    for content in (b"", b"not safetensors at all", good.read_bytes()[:-10]):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
            load(tmp_path / "bad")
    flipped = bytearray(good.read_bytes())
    flipped[-6] ^= 1
    (tmp_path / "bad").write_bytes(flipped)
    with pytest.raises(CheckpointError, match="is damaged, its weights are not those that were saved"):
        load(tmp_path / "bad")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="does not say what it holds"):
        load(tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="holds 'RealNVP', expected a Glow"):
        Glow.load(good)
    assert isinstance(RealNVP.load(good), RealNVP)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"flow": "Residual"}, "holds 'Residual', expected a Flow of this package"),
        ({"flow": None}, "holds None, expected a Flow"),
        ({"layers": 3}, "does not fit this version of RealNVP"),
        ({"twist": 1}, "does not fit this version of RealNVP"),
        ({"dim": 1}, "does not fit this version of RealNVP .*got dimension 1"),
    ],
)
def test_checkpoints_of_other_architectures_are_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    good = saved(RealNVP(2, 2, (4,)), tmp_path / "good")
    with safe_open(good, "pt") as file:
        metadata, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata["architecture"] = json.dumps(json.loads(metadata["architecture"]) | change)
    save_file(weights, tmp_path / "changed", metadata)
    with pytest.raises(CheckpointError, match=complaint):
        load(tmp_path / "changed")


def test_a_checkpoint_that_cannot_be_written_says_so(read_only: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*: choose another place"):
        RealNVP(2, 1, (2,)).save(read_only / "flow")
