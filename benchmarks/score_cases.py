"""Models on which gradient norms are timed, and the ways that peers compute them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from scalekit.selectors.scores.passes import GradientPass


def norm_of(kind: str, channels: int) -> nn.Module:
    return nn.GroupNorm(8, channels) if kind == "gn" else nn.BatchNorm2d(channels)


class Block(nn.Module):
    def __init__(self, i: int, o: int, stride: int, kind: str) -> None:
        super().__init__()
        self.a, self.na = nn.Conv2d(i, o, 3, stride, 1, bias=False), norm_of(kind, o)
        self.b, self.nb = nn.Conv2d(o, o, 3, 1, 1, bias=False), norm_of(kind, o)
        self.short = nn.Identity()
        if stride != 1 or i != o:
            self.short = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), norm_of(kind, o))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.nb(self.b(F.relu(self.na(self.a(x))))) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, width: int, blocks: int, stages: int, kind: str) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, 1, 1, bias=False), norm_of(kind, width)
        body, i = [], width
        for k in range(stages):
            for j in range(blocks):
                body.append(Block(i, width * 2**k, 2 if k and not j else 1, kind))
                i = width * 2**k
        self.body, self.fc = nn.Sequential(*body), nn.Linear(i, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(F.relu(self.norm(self.stem(x)))).mean((2, 3)))


class Layer(nn.Module):
    def __init__(self, d: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.f1, self.f2 = nn.Linear(d, hidden), nn.Linear(hidden, d)

    def forward(self, x: Tensor) -> Tensor:
        n, length, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, d)
        x = x + self.out(mixed)
        return x + self.f2(F.gelu(self.f1(self.n2(x))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(8000, 256), nn.Embedding(64, 256)
        self.layers = nn.Sequential(*[Layer(256, 4, 1024) for _ in range(4)])
        self.norm, self.fc = nn.LayerNorm(256), nn.Linear(256, 3)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        return self.fc(self.norm(self.layers(self.tokens(ids) + self.places(places))).mean(1))


class Bert(nn.Module):
    """Hugging Face BERT of 4 layers and width 512 from a random configuration."""

    def __init__(self) -> None:
        super().__init__()
        import transformers

        config = transformers.BertConfig(
            hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048,
            num_labels=3,
        )  # fmt: skip
        self.model = transformers.BertForSequenceClassification(config)

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def mlp() -> nn.Module:
    sizes = [3072, 512, 512, 512]
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(512, 10))


# name -> (model, batch size, kind of input, the ratio asked for)
CASES: dict[str, tuple[Callable[[], nn.Module], int, str, float]] = {
    "MLP": (mlp, 64, "image", 0.76),
    "transformer": (Transformer, 16, "text 64", 0.86),
    "BERT-small": (Bert, 8, "text 128", 0.81),
    "ResNet-18 GN": (lambda: ResNet(64, 2, 4, "gn"), 16, "image", 1.05),
    "ResNet-18 BN": (lambda: ResNet(64, 2, 4, "bn"), 16, "image", 0.97),
    "ResNet-w16 GN": (lambda: ResNet(16, 1, 3, "gn"), 32, "image", 1.7),
}


def make(case: str, device: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    build, n, kind, _ = CASES[case]
    model = build().to(device).eval()
    if kind == "image":
        x = torch.randn(n, 3, 32, 32, device=device)
        return model, x, torch.randint(0, 10, (n,), device=device)
    x = torch.randint(0, 8000, (n, int(kind.split()[1])), device=device)
    return model, x, torch.randint(0, 3, (n,), device=device)


# each way: (model, x, y, dtype) -> a function that returns the norms [n], or None


def forward_backward(model: nn.Module, x: Tensor, y: Tensor, dtype: str) -> Callable[[], Any]:
    def run() -> None:
        model.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            out = model(x)
        F.cross_entropy(out.float(), y).backward()

    return run


def scalekit(model: nn.Module, x: Tensor, y: Tensor, dtype: str) -> Callable[[], Tensor]:
    one_pass = GradientPass(model, dtype=dtype)
    draws = torch.rand(len(y), 1, device=x.device)
    return lambda: one_pass.run(x, y, draws)["loss"].total().sqrt()


def loop(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    def run() -> Tensor:
        found = []
        for i in range(len(y)):
            loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
            grads = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
            found.append(sum(g.pow(2).sum() for g in grads if g is not None).sqrt())
        return torch.stack(found)

    return run


def vmap(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    from torch.func import functional_call, grad
    from torch.func import vmap as over

    weights = {k: p.detach() for k, p in model.named_parameters()}

    def loss(weights: Any, one: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (one[None],)), label[None])

    def run() -> Tensor:
        grads = over(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
        return sum(g.flatten(1).pow(2).sum(1) for g in grads.values()).sqrt()

    return run


def opacus(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    from opacus.grad_sample import GradSampleModule

    wrapped = GradSampleModule(model.train(), loss_reduction="sum", strict=True)

    def run() -> Tensor:
        wrapped.zero_grad()
        for p in wrapped.parameters():
            p.grad_sample = None
        F.cross_entropy(wrapped(x), y, reduction="sum").backward()
        return sum(p.grad_sample.flatten(1).pow(2).sum(1) for p in wrapped.parameters()).sqrt()

    return run


def opacus_ghost(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    wrapped = GradSampleModuleFastGradientClipping(
        model.train(), loss_reduction="sum", use_ghost_clipping=True, max_grad_norm=1.0
    )

    def run() -> Tensor:
        wrapped.zero_grad()
        F.cross_entropy(wrapped(x), y, reduction="sum").backward()
        return wrapped.get_norm_sample()

    return run


def backpack(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    import backpack as library
    from backpack.extensions import BatchL2Grad

    extended = library.extend(model)
    loss_function = library.extend(nn.CrossEntropyLoss(reduction="sum"))

    def run() -> Tensor:
        extended.zero_grad()
        loss = loss_function(extended(x), y)
        with library.backpack(BatchL2Grad()):
            loss.backward()
        return sum(p.batch_l2 for p in extended.parameters()).sqrt()

    return run


def captum(model: nn.Module, x: Tensor, y: Tensor, _dtype: str) -> Callable[[], Tensor]:
    from captum.influence._utils.common import _compute_jacobian_wrt_params_with_sample_wise_trick

    loss_function = nn.CrossEntropyLoss(reduction="sum")
    layers = [m for m in model.modules() if list(m.parameters(recurse=False))]

    def run() -> Tensor:
        grads = _compute_jacobian_wrt_params_with_sample_wise_trick(
            model, (x,), y, loss_function, "sum", layers
        )
        return sum(g.flatten(1).pow(2).sum(1) for g in grads).sqrt()

    return run


WAYS = {
    "scalekit": scalekit, "loop": loop, "vmap(grad)": vmap, "Opacus hooks": opacus,
    "Opacus ghost": opacus_ghost, "BackPACK": backpack, "Captum": captum,
}  # fmt: skip
