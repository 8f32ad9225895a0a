import json

import pytest
import torch

from vivace.errors import VivaceError
from vivace.evaluation.verify import shipped_folder
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import config_from_official, from_official, official_names, to_official

JOINT_TINY = {
    "dim": 1536,
    "ffn_dim": 6912,
    "freq_dim": 128,
    "num_heads": 12,
    "num_double_layers": 8,
    "num_single_layers": 12,
    "audio_channels": 20,
}
RELEASES = {
    "NAVA_6B_release": ({}, 6_296_995_520, 1052),
    "NAVA_6B_split_norms": ({"split_norm_ffn": True}, 7_178_034_880, 1112),
    "joint_tiny_release_flags": (JOINT_TINY, 1_115_165_780, 740),
}


@pytest.mark.parametrize("name", RELEASES)
def test_every_tensor_of_the_published_models_has_its_place(name):
    config, parameters, tensors = RELEASES[name]
    with torch.device("meta"):
        model = NavaTransformer(**config)
    published = json.loads((shipped_folder() / f"state_dict_{name}.json").read_text())
    ours = {key: list(tensor.shape) for key, tensor in to_official(model.state_dict(), model.config).items()}
    assert ours == published
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(ours) == tensors


def tiny(**changes):
    sizes = {"dim": 16, "ffn_dim": 24, "freq_dim": 8, "num_heads": 2, "text_dim": 6, "text_len": 8}
    layers = {"num_double_layers": 2, "num_single_layers": 1, "num_double_final_layers": 1}
    return NavaTransformer(**{**sizes, **layers, "video_channels": 4, "audio_channels": 8, **changes})


@pytest.mark.parametrize(
    "changes",
    [{}, {"split_norm_ffn": True}, {"qk_norm": False}, {"cross_attn_norm": False}, {"speaker_dim": None}],
    ids=str,
)
def test_names_go_there_and_back(changes):
    model = tiny(**changes)
    state = model.state_dict()
    official = to_official(state, model.config)
    assert len(official) == len(state)
    back = from_official(official, model.config)
    assert back.keys() == state.keys()
    assert all(back[name] is tensor for name, tensor in state.items())
    bare = {name.removeprefix("backbone."): tensor for name, tensor in official.items()}
    assert from_official(bare, model.config).keys() == state.keys()


def test_names_of_the_public_checkpoint():
    names = official_names(tiny(split_norm_ffn=True).config)
    for ours, official in {
        "double_blocks.1.streams.audio.self_attn.q.weight": "double_blocks.1.self_attn.q_audio.weight",
        "double_blocks.0.streams.video.modulation": "double_blocks.0.modulation.modulation",
        "double_contexts.1.audio.norm_k.weight": "double_blocks.1.cross_attn.norm_k_audio.weight",
        "single_contexts.0.both.v.bias": "single_blocks.0.cross_attn.v.bias",
        "double_final_blocks.0.feed_forward.audio.2.weight": "double_final_blocks.0.ffn_audio.2.weight",
        "audio_embedding.leave.weight": "patch_embedding_audio.2.w2.weight",
    }.items():
        assert names[ours] == f"backbone.{official}"


def test_foreign_weights_are_refused_by_name():
    model = tiny()
    official = to_official(model.state_dict(), model.config)
    lacking = {name: tensor for name, tensor in official.items() if name != "backbone.head.modulation"}
    with pytest.raises(VivaceError, match=r"head\.modulation"):
        from_official(lacking, model.config)
    with pytest.raises(VivaceError, match=r"unknown ones \(first backbone\.extra"):
        from_official({**official, "extra.weight": torch.zeros(1)}, model.config)


def test_the_programs_configuration_is_translated():
    official = json.loads((shipped_folder() / "config_A.json").read_text())
    ours = config_from_official(official)
    assert ours["speaker_dim"] == 192
    assert ours["split_norm_ffn"] is False
    assert ours["audio_rope_scale"] == 0.24
    assert NavaTransformer(**ours).config.patch_size == (1, 2, 2)
    assert config_from_official({"dim": 64})["split_norm_ffn"] is True


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"depth": 3}, "depth"),
        ({"window_size": [5, 5]}, "window"),
        ({"vid_in_dim": 48, "vid_out_dim": 16}, "vid_out_dim"),
    ],
)
def test_a_configuration_that_we_do_not_implement_is_refused(change, named):
    with pytest.raises(VivaceError, match=named):
        config_from_official(change)
