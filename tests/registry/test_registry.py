"""Register, promote through the gate, roll back: what moves production, and what never does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry.datasets import PHOTOS, colour_dataset
from tests.tiny_bundle import (
    COLOURS,
    LABELS,
    SIZE_PX,
    make_bundle,
    picture,
    put_another_in_its_place,
)

from doggo.core.errors import (
    BundleError,
    GateError,
    InputError,
    NoModelError,
    StorageError,
    UsageError,
)
from doggo.core.records import Split
from doggo.nets.licences import weights_licence
from doggo.registry.compare import Dataset
from doggo.registry.run import (
    describe,
    describe_all,
    export_bundle,
    promote,
    register,
    rollback,
)
from doggo.storage.audit import Action
from doggo.storage.buckets import Bucket
from doggo.storage.bundles import BundleStore
from doggo.vision.bundle import Parity, bundle_sha256, read_bundle
from doggo.vision.predictor import Predictor
from doggo.vision.view import View


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(Bucket(tmp_path / "bundles"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return colour_dataset(Bucket(tmp_path / "processed"))


def add(store: BundleStore, tmp_path: Path, name: str, **options: object) -> int:
    folder = make_bundle(tmp_path / name, **options)  # type: ignore[arg-type]
    return register(store, folder, metrics={"validation_top1": 0.9, "test_top1": 0.8})


def production(store: BundleStore) -> int | None:
    pointer = store.production()
    return None if pointer is None else pointer.version


def test_registering_moves_nothing(store: BundleStore, tmp_path: Path) -> None:
    assert add(store, tmp_path, "a") == 1
    assert production(store) is None
    card = store.card(1)
    assert card["name"] == "colour"
    assert card["metrics"] == {"validation_top1": 0.9, "test_top1": 0.8}
    assert card["data_licence"]
    assert card["weights_licence"] == weights_licence("colour")


def test_a_card_tells_the_licence_of_its_own_backbone(store: BundleStore, tmp_path: Path) -> None:
    card = store.card(add(store, tmp_path, "a", backbone="vgg"))
    assert "vgg16.tv_in1k, BSD-3-Clause" in str(card["weights_licence"])


def test_a_damaged_card_is_a_row_with_its_problem_beside_the_others(
    store: BundleStore, tmp_path: Path
) -> None:
    three_in_a_row(store, tmp_path)
    (store.papers(2) / "card.json").write_text("torn")
    rows = describe_all(store)
    assert [row.problem is None for row in rows] == [True, False, True]
    assert "card.json" in str(rows[1].problem)


def test_an_altered_bundle_is_not_registered(store: BundleStore, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "a")
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="altered"):
        register(store, folder, metrics={})
    assert store.versions() == ()


def test_the_first_model_needs_no_dataset(store: BundleStore, tmp_path: Path) -> None:
    decision = promote(store, add(store, tmp_path, "a"), why="first", action=Action.BOOTSTRAP)
    assert decision.moved
    assert production(store) == 1
    (move,) = store.audit()
    assert (move.action, move.why, move.from_version) == (Action.BOOTSTRAP, "first", None)
    assert move.actor


def test_an_equal_model_is_promoted_after_a_real_comparison(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    steps: list[tuple[str, int, int]] = []
    decision = promote(
        store,
        add(store, tmp_path, "b", gain=8),
        dataset=dataset,
        why="new",
        progress=lambda *step: steps.append(step),
    )
    assert (decision.moved, decision.photos, decision.difference) == (True, PHOTOS, 0.0)
    assert steps == [("compare", PHOTOS, PHOTOS)] * 2  # nothing was sealed: both had to answer
    assert production(store) == 2


def test_a_worse_model_is_refused_with_its_figures(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    worse = add(store, tmp_path, "b", turn=1)
    with pytest.raises(
        GateError, match=r"version 2 was not promoted: top-1 -100\.0 points"
    ) as caught:
        promote(store, worse, dataset=dataset, why="new")
    assert len(caught.value.reasons) == 1
    assert production(store) == 1
    assert len(store.audit()) == 1


def test_a_forced_promotion_is_recorded_with_its_reason(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    worse = add(store, tmp_path, "b", turn=1)
    decision = promote(store, worse, dataset=dataset, why="asked", force="a rehearsal", actor="ana")
    assert (decision.forced, decision.moved) == (True, True)
    move = store.audit()[-1]
    assert (move.forced, move.why, move.actor) == (True, "asked; forced: a rehearsal", "ana")


def test_force_without_a_reason_is_wrong_usage(store: BundleStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        promote(store, add(store, tmp_path, "a"), why="x", force="  ")


def test_only_photos_without_a_sealed_answer_are_computed(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    sealed = {row.photo_id: row.breed for row in dataset.manifest.of(Split.VALIDATION)}
    some = dict(list(sealed.items())[:50])
    promote(store, add(store, tmp_path, "a", validation=some), why="first")
    steps: list[tuple[str, int, int]] = []
    promote(
        store,
        add(store, tmp_path, "b", gain=8, validation=sealed),
        dataset=dataset,
        why="new",
        progress=lambda *step: steps.append(step),
    )
    assert steps == [("compare", PHOTOS - 50, PHOTOS - 50)]


def test_sealed_answers_count_as_given(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    wrong = {f"photo{place}": "nothing_right" for place in range(PHOTOS)}
    promote(store, add(store, tmp_path, "a", validation=wrong), why="first")
    decision = promote(store, add(store, tmp_path, "b", gain=8), dataset=dataset, why="new")
    assert decision.difference == 1.0


def test_other_breeds_need_accept_labels_and_only_shared_ones_are_compared(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    other = add(store, tmp_path, "b", labels=["affenpinscher", "beagle", "corgi"])
    with pytest.raises(GateError, match="adds corgi and removes pug"):
        promote(store, other, dataset=dataset, why="new")
    decision = promote(store, other, dataset=dataset, why="new", accept_labels=True)
    assert (decision.added, decision.removed) == (("corgi",), ("pug",))
    assert decision.photos == PHOTOS * 2 // 3


def test_without_a_dataset_a_champion_is_not_replaced(store: BundleStore, tmp_path: Path) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    with pytest.raises(GateError, match="no validation photos"):
        promote(store, add(store, tmp_path, "b", gain=8), why="new")


def test_a_model_of_larger_pixels_is_compared_on_raw_bytes(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    large = View(size_px=SIZE_PX, resize_px=SIZE_PX, short_side_px=300)
    promote(store, add(store, tmp_path, "a"), why="first")
    version = add(store, tmp_path, "b", view=large)
    with pytest.raises(GateError, match="needs photos of 300 px"):
        promote(store, version, dataset=dataset, why="new")
    with_raw = replace(dataset, read_raw=lambda row: picture(COLOURS[row.breed]))
    assert promote(store, version, dataset=with_raw, why="new").difference == 0


@pytest.mark.parametrize("force", [None, "because"])
def test_an_altered_version_is_never_promoted(
    store: BundleStore, tmp_path: Path, force: str | None
) -> None:
    version = add(store, tmp_path, "a")
    with (store.folder(version) / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(GateError, match="altered"):
        promote(store, version, why="x", force=force)
    assert production(store) is None


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_model_that_fails_its_smoke_test_is_never_promoted(
    store: BundleStore, tmp_path: Path
) -> None:
    version = add(store, tmp_path, "a", gain=float("nan"))
    with pytest.raises(GateError, match="smoke test"):
        promote(store, version, why="x", force="because")


def test_a_bundle_whose_exports_differ_is_never_promoted(
    store: BundleStore, tmp_path: Path
) -> None:
    parity = Parity(max_difference=0.2, top1_agreement=0.9, low=0.8, high=1.0, photos=64)
    version = add(store, tmp_path, "a", parity=parity)
    with pytest.raises(GateError, match=r"differ from the trained network by 0\.2"):
        promote(store, version, why="x", force="because")


def test_a_broken_champion_can_be_replaced_by_force(
    store: BundleStore, tmp_path: Path, dataset: Dataset
) -> None:
    promote(store, add(store, tmp_path, "a"), why="first")
    (store.folder(1) / "bundle.json").unlink()
    other = add(store, tmp_path, "b", gain=8)
    with pytest.raises(GateError, match="is not a bundle"):
        promote(store, other, dataset=dataset, why="new")
    assert promote(store, other, dataset=dataset, why="new", force="v1 is broken").moved


def test_promoting_what_is_in_production_moves_nothing(store: BundleStore, tmp_path: Path) -> None:
    version = add(store, tmp_path, "a")
    promote(store, version, why="first")
    assert not promote(store, version, why="again").moved
    assert len(store.audit()) == 1


def three_in_a_row(store: BundleStore, tmp_path: Path) -> None:
    for gain in (7, 8, 9):
        version = add(store, tmp_path, f"g{gain}", gain=gain)
        promote(store, version, why="next", force="no photos here")


def test_rollback_walks_back_and_can_be_repeated(store: BundleStore, tmp_path: Path) -> None:
    three_in_a_row(store, tmp_path)
    assert production(store) == 3
    assert rollback(store, why="bad").to_version == 2
    assert rollback(store, why="bad too", actor="ana").to_version == 1
    with pytest.raises(GateError, match="version 1 is the first"):
        rollback(store, why="more")
    assert production(store) == 1
    assert [(move.action.value, move.to_version) for move in store.audit()] == [
        ("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2), ("rollback", 1),
    ]  # fmt: skip


def test_without_its_newest_record_the_registry_shows_promotes_and_says_how_to_go_on(
    store: BundleStore, tmp_path: Path
) -> None:
    three_in_a_row(store, tmp_path)
    store.bucket.delete("audit/000003.json")
    assert [row.in_production for row in describe_all(store)] == [False, False, True]
    assert describe(store, 3).moves == ()
    with pytest.raises(
        StorageError, match=r"audit/000003\.json is missing.*models promote VERSION"
    ):
        rollback(store, why="bad")
    assert promote(store, 2, why="the one before", force="no photos").moved
    assert production(store) == 2
    assert rollback(store, why="bad too").to_version == 3


def test_promoting_what_is_in_production_mends_a_broken_audit_and_moves_nothing_else(
    store: BundleStore, tmp_path: Path
) -> None:
    three_in_a_row(store, tmp_path)
    store.bucket.delete("audit/000003.json")
    decision = promote(store, 3, why="looked into it", actor="ana")
    assert "audit/000003.json is missing" in decision.to_text()
    [move] = store.audit()
    assert (move.from_version, move.to_version, move.actor) == (3, 3, "ana")
    assert move.broken == "audit/000003.json is missing"
    assert not promote(store, 3, why="again").moved
    with pytest.raises(GateError, match="as far as the audit proves it"):
        rollback(store, why="bad")


def test_a_rollback_goes_on_where_an_older_record_is_missing(
    store: BundleStore, tmp_path: Path
) -> None:
    three_in_a_row(store, tmp_path)
    store.bucket.delete("audit/000002.json")
    move = rollback(store, why="bad")
    assert (move.to_version, move.broken) == (2, "audit/000002.json is missing")
    assert store.audit() == (move,)


def test_a_rollback_to_an_altered_version_is_refused(store: BundleStore, tmp_path: Path) -> None:
    three_in_a_row(store, tmp_path)
    (store.folder(2) / "labels.json").write_text("[]")
    with pytest.raises(GateError, match="cannot be put back"):
        rollback(store, why="bad")
    assert production(store) == 3


def test_there_is_nothing_to_roll_back_in_an_empty_store(store: BundleStore) -> None:
    with pytest.raises(NoModelError):
        rollback(store, why="bad")


def test_lists_show_every_version_also_a_damaged_one(store: BundleStore, tmp_path: Path) -> None:
    three_in_a_row(store, tmp_path)
    (store.folder(1) / "bundle.json").write_text("oops")
    rows = describe_all(store)
    assert [row.cells()[:3] for row in rows[1:]] == [["", "2", "colour"], ["*", "3", "colour"]]
    assert rows[1].cells()[3:7] == ["drawn", "3", "90.0%", "80.0%"]
    assert rows[0].problem is not None
    assert "not a bundle" in rows[0].cells()[2]
    assert len({len(row.cells()) for row in rows}) == 1
    json.dumps([row.to_json() for row in rows])


def test_a_version_is_shown_with_everything_that_matters(
    store: BundleStore, tmp_path: Path
) -> None:
    three_in_a_row(store, tmp_path)
    row = describe(store, 2)
    text = row.to_text()
    for word in ("version 2", "affenpinscher, beagle, pug", "by hand", row.sha256, "moved from"):
        assert word in text
    bundle = json.loads(json.dumps(row.to_json()))["bundle"]
    assert bundle["labels"] == list(LABELS)
    with pytest.raises(UsageError):
        describe(store, 7)


def test_an_exported_bundle_answers_elsewhere(store: BundleStore, tmp_path: Path) -> None:
    three_in_a_row(store, tmp_path)
    folder = export_bundle(store, None, tmp_path / "out" / "bundle")
    assert bundle_sha256(folder) == bundle_sha256(store.folder(3))
    assert Predictor.load(folder).model.version == 3
    assert read_bundle(export_bundle(store, 1, tmp_path / "one")).name == "colour"


def test_export_refuses_to_overwrite_and_copies_nothing_altered(
    store: BundleStore, tmp_path: Path
) -> None:
    with pytest.raises(NoModelError):
        export_bundle(store, None, tmp_path / "out")
    three_in_a_row(store, tmp_path)
    with pytest.raises(InputError, match="already there"):
        export_bundle(store, 1, tmp_path)
    (store.folder(1) / "model.ts").write_bytes(b"other")
    with pytest.raises(BundleError):
        export_bundle(store, 1, tmp_path / "out")
    put_another_in_its_place(store.folder(3))
    with pytest.raises(BundleError, match="is not the one that was registered"):
        export_bundle(store, None, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
