"""Hugging Face models from small random configurations: exact norms, and an unmodified Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import scalekit as sk
from scalekit.selectors.scores.passes import GradientPass
from tests.score_models import plain_gradients

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 32}  # fmt: skip
WORDS = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16, **WORDS}
LLAMA = {**SMALL, **WORDS, "num_key_value_heads": 2, "tie_word_embeddings": True}
IMAGE = {"image_size": 16, "patch_size": 4, "num_labels": 3, **SMALL}
MODELS = {
    "Bert": ("BertForSequenceClassification", {**SMALL, **WORDS, "num_labels": 3}),
    "Roberta": ("RobertaForSequenceClassification", {**SMALL, **WORDS, "num_labels": 3}),
    "GPT2": ("GPT2LMHeadModel", GPT),
    "Llama": ("LlamaForCausalLM", LLAMA),
    "Qwen2": ("Qwen2ForCausalLM", LLAMA),
    "Gemma": ("GemmaForCausalLM", {**LLAMA, "head_dim": 4}),
    "DebertaV2": ("DebertaV2ForSequenceClassification",
                  {**SMALL, **WORDS, "num_labels": 3, "relative_attention": True,
                   "position_buckets": 4, "pos_att_type": ["p2c", "c2p"]}),
    "ViT": ("ViTForImageClassification", IMAGE),
    "ConvNext": ("ConvNextForImageClassification",
                 {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "num_labels": 3}),
    "ResNet": ("ResNetForImageClassification",
               {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 3}),
}  # fmt: skip
LOOPED = {"Gemma", "DebertaV2"}  # parameters that are transformed, or shared by the batch


def build(name: str) -> tuple[Any, dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    kind, settings = MODELS[name]
    model = getattr(transformers, kind)(getattr(transformers, f"{name}Config")(**settings))
    labels = torch.tensor([0, 1, 2])
    if "Image" in kind:
        return model.double().eval(), {"pixel_values": torch.randn(3, 3, 16, 16).double()}, labels
    ids = torch.randint(3, 40, (3, 7))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    return model.double().eval(), inputs, labels if "Sequence" in kind else ids.roll(-1, 1)


@pytest.mark.parametrize("name", MODELS)
def test_norms_of_a_hugging_face_model_equal_autograd(name: str) -> None:
    model, inputs, labels = build(name)
    exact = [sum(g.pow(2).sum() for g in one.values()) ** 0.5
             for one in plain_gradients(model, inputs, labels)]  # fmt: skip
    one_pass = GradientPass(model, dtype="float64")
    found = one_pass.run(inputs, labels, torch.rand(3, 1))["loss"].total().sqrt()
    assert torch.allclose(found, torch.stack(exact), rtol=1e-12, atol=0)
    assert bool(one_pass.looped) == (name in LOOPED)


def test_an_unmodified_trainer_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    model, _, _ = build("Bert")
    model = model.float()
    items = [{"input_ids": torch.randint(3, 40, (7,)), "labels": torch.tensor(i % 3),
              "example_id": torch.tensor(i + 50)} for i in range(12)]  # fmt: skip
    recorder = sk.Recorder(model, tmp_path / "dynamics")
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path / "run"), num_train_epochs=2, per_device_train_batch_size=4,
            report_to=[], save_strategy="no", logging_strategy="no", remove_unused_columns=False,
            disable_tqdm=True, use_cpu=True,
        ),
        train_dataset=items,
        callbacks=[recorder.callback()],
    )  # fmt: skip
    trainer.train()
    frame = sk.read_dynamics(tmp_path / "dynamics").frame
    assert sorted(frame["id"].unique()) == list(range(50, 62))
    assert (frame.groupby("id").size() == 2).all()
    assert sorted(frame["epoch"].unique()) == [0, 1]


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_a_causal_model_is_recorded_by_its_own_loss(name: str, tmp_path: Path) -> None:
    size: dict[str, Any] = {"vocab_size": 30, "bos_token_id": 0, "eos_token_id": 0}
    model = (
        transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=2, **size))
        if name == "GPT2" else transformers.LlamaForCausalLM(transformers.LlamaConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, **size))
    ).train()  # fmt: skip
    model.requires_grad_(False)
    ids = torch.randint(1, 30, (1, 7))
    model.config.use_cache = False
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with sk.Recorder(model, tmp_path) as recorder:
        own = model(input_ids=ids, labels=ids, example_id=[5]).loss
    assert recorder.rows == 1
    frame = sk.read_dynamics(tmp_path).frame
    assert frame["loss"].tolist() == pytest.approx([float(own)], rel=1e-5)


def test_hugging_face_datasets_are_scored_in_memory_and_as_streams() -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    rows = {"input_ids": torch.randint(3, 40, (9, 7)).tolist(), "label": [0, 1, 2] * 3,
            "id": [f"n{i}" for i in range(9)]}  # fmt: skip
    model = build("Bert")[0].float()
    data = datasets.Dataset.from_dict(rows)
    whole = sk.score(data, model=wrap(model), scores=["grand"]).frame
    stream = sk.score(data.to_iterable_dataset(), model=wrap(model), scores=["grand"],
                      shard_rows=4, batch_size=3).frame  # fmt: skip
    assert stream["id"].tolist() == rows["id"] == whole["id"].tolist()
    assert stream["grand"].tolist() == pytest.approx(whole["grand"].tolist(), rel=1e-4)


def wrap(model: Any) -> torch.nn.Module:
    class Ids(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=ids).logits

    return Ids().eval()
