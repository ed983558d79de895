"""Networks that a card brings along."""

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from brought_samples import follow_the_page
from model_samples import jpeg, note, picture, points
from torch import nn

from models.card import BadCard, read_card
from models.catalogue import list_cards, load
from models.describe import DESCRIBED
from models.explain import explain
from models.foreign_archive import read_archive
from models.foreign_graph import GraphNetwork
from models.pin import pin, take_weights
from stream.judgement import Sample

ANY = {0: torch.export.Dim("n", min=1, max=64)}


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return follow_the_page(tmp_path_factory.mktemp("page"), patch)


def export(network: nn.Module, inputs: tuple, path: Path, *, dynamic: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = tuple(ANY for _ in inputs) if dynamic else None
        torch.export.save(torch.export.export(network.eval(), inputs, dynamic_shapes=shapes), path)


def write(folder: Path, **more) -> Path:
    content = {"name": "own", "version": "1", "task": "", "classes": ["no", "yes"], "labels": ["yes"], "config": {}, **more}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(content))
    return folder


def test_the_example_of_the_page_is_listed_and_both_ways_give_the_same_numbers(brought):
    assert {"my-export", "my-onnx"} <= {card.name for card in list_cards(brought)}
    told = []
    for name in ("my-export", "my-onnx"):
        model = load(brought / name)
        model.warm_up()
        batch = [model.prepare(Sample(contents=(jpeg(picture(ill, 5)),))) for ill in (0, 1, 0)]
        told.append(np.stack([one.logits for one in model.infer(batch)]))
    assert told[0].shape == (3, 1)
    assert np.abs(told[0] - told[1]).max() < 1e-5


def test_a_program_runs_as_torch_itself_runs_it(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.GELU())
            self.last = nn.Linear(8, 3)
            self.register_buffer("scale", torch.tensor([2.0]), persistent=False)

        def forward(self, x):
            seen = self.first(x).reshape(x.shape[0], 4, -1)
            both = torch.cat([seen.mean(2), seen.amax(2)], 1)
            return nn.functional.layer_norm(self.last(both) * self.scale, (3,)) + x.shape[0] * 0

    own = Own().eval()
    export(own, (torch.randn(2, 1, 8, 8),), tmp_path / "m.pt2")
    network = GraphNetwork(read_archive(tmp_path / "m.pt2"), "m.pt2")
    pictures = torch.randn(5, 1, 8, 8)
    assert torch.equal(network(pictures), own(pictures))


def test_a_network_that_was_exported_for_one_input_judges_any_number(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    export(network, (torch.randn(1, 1, 8, 8),), tmp_path / "own" / "model.pt2", dynamic=False)
    write(tmp_path / "own", kind="scan", architecture="torch-export", config={"side": 8})
    pin(tmp_path / "own")
    model = load(tmp_path / "own")
    batch = [model.prepare(Sample(contents=(jpeg(picture(0, seed)),))) for seed in range(3)]
    alone = [model.infer([one])[0].logits for one in batch]
    assert np.allclose([one.logits for one in model.infer(batch)], alone, atol=1e-5)
    assert alone[0].shape == (1,)  # of two outputs the label's beside the other


def test_a_program_is_explained_by_what_hiding_a_place_costs_where_grad_cam_finds_no_layer(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    export(network, (torch.randn(2, 1, 8, 8),), tmp_path / "own" / "model.pt2")
    write(tmp_path / "own", kind="scan", architecture="torch-export", config={"side": 8}, explanation={"method": "grad-cam"})
    pin(tmp_path / "own")
    (found,) = explain(load(tmp_path / "own"), Sample(contents=(jpeg(picture(0, 1)),)), ["yes"])
    assert found.method == "occlusion"


def test_a_lab_network_may_ask_for_each_analytes_description(tmp_path, lab_card):
    class Lab(nn.Module):
        def forward(self, described):
            return described.mean((1, 2))[:, None]

    export(Lab(), (torch.randn(2, 6, DESCRIBED),), tmp_path / "lab" / "model.pt2")
    analytes = json.loads((lab_card.folder / "card.json").read_text())["analytes"]
    write(tmp_path / "lab", kind="lab", architecture="torch-export", analytes=analytes, config={"inputs": ["described"]})
    pin(tmp_path / "lab")
    load(tmp_path / "lab").warm_up()


def test_a_lab_and_a_note_network_get_what_the_page_says(tmp_path, lab_card, note_card):
    class Lab(nn.Module):
        def forward(self, series, statics):
            return series.mean((1, 2))[:, None] + statics[:, :1]

    class Note(nn.Module):
        def forward(self, tokens, lengths):
            return (tokens > 0).sum(1, keepdim=True) / lengths[:, None] + torch.zeros(1, 3)

    export(Lab(), (torch.randn(2, 48, 6), torch.randn(2, 4)), tmp_path / "lab" / "model.pt2")
    analytes = json.loads((lab_card.folder / "card.json").read_text())["analytes"]
    write(tmp_path / "lab", kind="lab", architecture="torch-export", analytes=analytes)
    export(Note(), (torch.ones(2, 40, dtype=torch.long), torch.ones(2, dtype=torch.long)), tmp_path / "note" / "model.pt2")
    own = tmp_path / "note"
    (own / "vocabulary.json").write_bytes((note_card.folder / "vocabulary.json").read_bytes())
    config = {"most_tokens": 40, "inputs": ["tokens", "lengths"]}
    write(own, kind="note", architecture="torch-export", config=config, classes=["a", "b", "c"], labels=["a", "b", "c"])
    results = points([("2823-3", 5, 4.0), ("14682-9", 10, 90.0)])
    samples = {
        "lab": Sample(contents=(results,), facts={"age_years": 80}),
        "note": Sample(contents=(note("heart", 1).encode(),)),
    }
    for name, sample in samples.items():
        pin(tmp_path / name)
        model = load(tmp_path / name)
        model.warm_up()
        assert np.isfinite(model.infer([model.prepare(sample)])[0].logits).all()


def test_a_network_that_ends_in_a_sigmoid_gives_its_own_probabilities(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Sigmoid())
    export(network, (torch.randn(2, 1, 8, 8),), tmp_path / "own" / "model.pt2")
    write(tmp_path / "own", kind="scan", architecture="torch-export", config={"side": 8, "gives": "probabilities"})
    pin(tmp_path / "own")
    model = load(tmp_path / "own")
    prepared = model.prepare(Sample(contents=(jpeg(picture(1, 3)),)))
    finding = model.interpret(prepared, model.infer([prepared])[0]).findings[0]
    assert finding.probability == pytest.approx(network(model.pictures([prepared])).item(), abs=1e-6)


# What must never run -----------------------------------------------------------------------------------------------


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


def changed(path: Path, change) -> None:
    """The same zip with the parts that ``change`` gives."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)


def pickled(thing) -> bytes:
    out = io.BytesIO()
    torch.save(thing, out)
    return out.getvalue()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.pt2"
    export(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), (torch.randn(2, 1, 8, 8),), path)
    return path.read_bytes()


@pytest.fixture
def program(tmp_path, exported):
    own = write(tmp_path / "own", kind="scan", architecture="torch-export", config={"side": 8})
    (own / "model.pt2").write_bytes(exported)
    return own


def name_in(parts: dict, end: str) -> str:
    return next(name for name in parts if name.endswith(end))


def as_pickle(parts: dict, evil: bytes) -> None:
    name = name_in(parts, "model_weights_config.json")
    config = json.loads(parts[name])
    for about in config["config"].values():
        about["use_pickle"] = True
        parts[name_in(parts, about["path_name"])] = evil
    parts[name] = json.dumps(config).encode()


def in_graph(parts: dict, change) -> None:
    name = name_in(parts, "models/model.json")
    program = json.loads(parts[name])
    change(program["graph_module"]["graph"])
    parts[name] = json.dumps(program).encode()


def test_a_pickled_weight_in_a_program_is_refused_and_not_opened(program, tmp_path):
    changed(program / "model.pt2", lambda parts: as_pickle(parts, pickled(Evil(tmp_path / "evil"))))
    with pytest.raises(BadCard, match="stored as a pickle"):
        pin(program)
    assert not (tmp_path / "evil").exists()


def test_the_example_inputs_of_a_program_are_never_opened(program, tmp_path):
    def change(parts: dict) -> None:
        parts[name_in(parts, "sample_inputs/model.pt")] = pickled(Evil(tmp_path / "evil"))

    changed(program / "model.pt2", change)
    pin(program)
    load(program).warm_up()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "target",
    ["torch.load", "torch.ops.aten.from_file.default", "torch.ops.aten.save.default", "os.system", "_operator.methodcaller"],
)
def test_a_program_calls_nothing_but_arithmetic(program, target):
    changed(program / "model.pt2", lambda parts: in_graph(parts, lambda graph: graph["nodes"][0].update(target=target)))
    with pytest.raises(BadCard, match=r"no operator of aten|not allowed"):
        pin(program)


def test_words_in_a_program_are_only_known_ones(program):
    def change(graph: dict) -> None:
        graph["nodes"][0]["inputs"].append({"name": "x", "arg": {"as_string": "__import__('os')"}, "kind": 1})

    changed(program / "model.pt2", lambda parts: in_graph(parts, change))
    with pytest.raises(BadCard, match="as_string"):
        pin(program)


def test_text_where_a_size_is_expected_is_never_evaluated(program, tmp_path):
    expression = f"__import__('pathlib').Path({str(tmp_path / 'evil')!r}).touch()"

    def change(graph: dict) -> None:
        for meta in graph["tensor_values"].values():
            meta["sizes"] = [{"as_expr": {"expr_str": expression, "hint": None}} for _ in meta["sizes"]]
        graph["sym_int_values"] = {"s": {"as_expr": {"expr_str": expression, "hint": None}}}

    changed(program / "model.pt2", lambda parts: in_graph(parts, change))
    pin(program)
    load(program).warm_up()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("architecture", "name"), [("torch-export", "model.pt2"), ("onnx", "model.onnx"), ("residual-cnn", "model.safetensors")]
)
def test_a_pickle_under_the_name_of_any_format_is_refused_and_not_opened(tmp_path, scan_card, architecture, name):
    own = write(tmp_path / "own", kind="scan", architecture=architecture, config=dict(scan_card.config))
    for evil in (pickled(Evil(tmp_path / "evil")), pickle.dumps(Evil(tmp_path / "evil"))):
        (own / name).write_bytes(evil)
        with pytest.raises(BadCard):
            pin(own)
    assert not (tmp_path / "evil").exists()


def test_a_bundle_that_would_run_code_gives_no_weights(tmp_path):
    (tmp_path / "model.pt").write_bytes(pickled({"weight": Evil(tmp_path / "evil")}))
    with pytest.raises(BadCard, match="more than tensors"):
        take_weights(tmp_path / "model.pt", tmp_path / "own")
    assert not (tmp_path / "evil").exists()


def test_a_model_may_not_keep_its_weights_in_files_that_nobody_pinned(tmp_path):
    onnx = pytest.importorskip("onnx")
    held = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    held.external_data.add(key="location", value="weights.bin")
    shapes = [onnx.helper.make_tensor_value_info(name, 1, ["n", 1, 8, 8]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", shapes[:1], shapes[1:], [held])
    own = write(tmp_path / "own", kind="scan", architecture="onnx", config={"side": 8})
    (own / "weights.bin").write_bytes(b"\0" * 4)
    (own / "model.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(BadCard, match="does not take this file"):
        pin(own)


def test_a_models_file_that_the_card_does_not_pin_is_refused(program):
    with pytest.raises(BadCard, match="not pinned"):
        load(program)


def test_a_changed_file_is_refused(program):
    pin(program)
    (program / "model.pt2").write_bytes(b"another")
    with pytest.raises(BadCard, match="not the file"):
        load(program)


def test_no_code_of_ours_unpickles():
    ours = [
        path for name in ("models", "worker", "dxstream", "db", "stream", "producers", "bench") for path in Path(name).rglob("*.py")
    ]
    assert len(ours) > 50
    for path in ours:
        text = path.read_text(encoding="utf-8")
        calls = [text[place : text.index("\n", place)] for place in range(len(text)) if text.startswith("torch.load(", place)]
        assert all("weights_only=True" in call for call in calls), path
        assert not any(word in text for word in ("torch.export.load(", "pickle.load", "torch.jit.load(", "allow_pickle=True")), path


# MONAI --------------------------------------------------------------------------------------------------------------


def test_the_weights_of_a_bundle_answer_under_a_named_network(tmp_path):
    nets = pytest.importorskip("monai.networks.nets")
    network = nets.resnet10(spatial_dims=2, n_input_channels=1, num_classes=1).eval()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "model.pt")
    assert take_weights(tmp_path / "model.pt", tmp_path / "own") == len(network.state_dict())
    write(tmp_path / "own", kind="scan", architecture="monai", config={"side": 64, "network": "resnet10"})
    pin(tmp_path / "own")
    model = load(tmp_path / "own")
    prepared = model.prepare(Sample(contents=(jpeg(picture(1, 3)),)))
    with torch.no_grad():
        expected = float(network(model.pictures([prepared])))
    assert model.infer([prepared])[0].logits == pytest.approx(expected, abs=1e-5)


def test_only_listed_networks_are_taken(tmp_path):
    own = write(tmp_path / "own", kind="scan", architecture="monai", config={"network": "torch.hub.load"})
    with pytest.raises(BadCard, match="no network of MONAI"):
        pin(own)
    assert read_card(own).golden == {}
