"""What a reader must know, before the first number and after the last."""

from dataclasses import replace
from typing import Any

import pytest

from qa_tradeoffs.analysis import accuracy, provenance
from qa_tradeoffs.report import notices
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study.config import Study
from tests.conftest import MODELS, comparison_of, in_turn

SMALL = {"label": "Small", "architecture": "bert"}


def kind(study_of: Any, **keys: Any) -> str:
    study: Study = study_of(**keys)
    return notices.kind_of_study(study, list(study.models))


def test_a_demonstration_is_not_taken_for_a_result(study_of):
    generated = {"source": "generated", "train_passages": 1, "validation_passages": 1}
    sentence = kind(study_of, data=generated, models={"small": SMALL})
    assert sentence.startswith("This study: generated text, models trained from scratch. It shows the method;")
    assert "It shows the method" not in kind(study_of)


FINE_TUNED, CAME = "published checkpoints fine-tuned here", {"fine_tuned": True}
V2 = {"source": "hub", "name": "some/squad_v2", "revision": "c" * 40, "v2": True}


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({}, f"(some/squad), {FINE_TUNED}"),
        ({"data": V2}, f"(some/squad_v2), some questions without an answer, {FINE_TUNED}"),
        ({"models": {slug: model | CAME for slug, model in MODELS.items()}}, "published checkpoints as they came"),
        (
            {"models": MODELS | {"mine": {"label": "Mine", "path": "mine"} | CAME, "small": SMALL}},
            f"{FINE_TUNED} (BERT and DistilBERT), checkpoints from disk as they came (Mine), models trained from "
            "scratch (Small)",
        ),
    ],
)
def test_each_kind_of_data_and_model_is_named_with_what_was_trained_here(study_of, keys, named):
    assert kind(study_of, **keys).endswith(f"{named}.")


def test_keys_that_the_study_file_leaves_out_are_named_with_their_defaults(study_of):
    whole = study_of(training={"epochs": 1}, price="laptop")
    assert notices.defaults(whole) == []
    given = whole.model_dump(mode="json", exclude={"price"})
    assert notices.defaults(Study.model_validate(given)) == [
        "Not set in the study file, so defaults apply: price: gcp-n1-standard-2, not the price of this machine."
    ]


def test_a_report_on_part_of_a_study_names_what_is_left_out(study_of):
    study = study_of(models=MODELS | {"small": SMALL}, seeds=[0, 1])
    assert notices.left_out(study, ["bert", "distilbert", "small"], [0, 1]) == []
    (one,) = notices.left_out(study, ["bert", "distilbert"], [0, 1])
    assert one.endswith(": Small.")
    (several,) = notices.left_out(study, ["bert"], [1])
    assert several.endswith(": DistilBERT, Small and seed 0.")
    assert "Small" not in notices.kind_of_study(study, ["bert", "distilbert"])


def test_a_failed_run_is_named_first_and_what_is_left_out_is_a_warning(collected_of, tmp_path):
    collected = collected_of({"bert": [[0.0] * 50]}, training={"epochs": 1})
    markup = notices.first(collected, RunPaths(tmp_path)).markup
    assert markup.count("<p>") == 3  # BERT did not learn, the kind, what it is about
    assert markup.index("did not learn") < markup.index("This study:")
    assert "is left out of this report: DistilBERT." in notices.warnings(collected, accuracy.models(collected)).markup


def test_a_study_with_nothing_to_warn_of_says_so(collected_of):
    collected = collected_of({"bert": [[1.0, 0.0]] * 2, "distilbert": [[1.0, 0.0]] * 2}, seeds=[0, 1],
                             training={"epochs": 1}, price="laptop")  # fmt: skip
    assert notices.warnings(collected, accuracy.models(collected)).markup.startswith("<p>None: ")


def test_models_that_were_not_trained_alike_and_notes_on_the_data_are_named(collected_of):
    own = MODELS | {"distilbert": MODELS["distilbert"] | {"training": {"epochs": 1}}}
    collected = collected_of({"bert": [[1.0]], "distilbert": [[0.0]]}, models=own)
    assert notices.own_recipes(collected) == [
        "Not all models were trained alike: DistilBERT with epochs 1 (the study's: 3)."
    ]
    assert notices.data_notes(collected) == []
    noted = {
        key: file.model_copy(update={"notes": ("2 were left out",)}) for key, file in collected.evaluations.items()
    }
    assert notices.data_notes(replace(collected, evaluations=noted)) == ["2 were left out."]


def test_the_precision_of_training_is_named_once_or_with_its_models(collected_of):
    collected = collected_of({"bert": [[1.0]], "distilbert": [[0.0]]})
    assert provenance.trained_in(collected) == {"fp32": ["BERT", "DistilBERT"]}
    file = collected.trainings["distilbert", 0]
    records = [r.model_copy(update={"conditions": r.conditions | {"precision": "bf16"}}) for r in file.records]
    collected.trainings["distilbert", 0] = file.model_copy(update={"records": tuple(records)})
    assert provenance.trained_in(collected) == {"fp32": ["BERT"], "bf16": ["DistilBERT"]}
    (sentence,) = notices.own_recipes(collected)
    assert sentence.startswith("Trained in different precisions: BERT in fp32 and DistilBERT in bf16.")


def test_a_busy_machine_is_named_first_with_what_to_do(collected_of, tmp_path):
    collected = collected_of({"bert": [[1, 0]], "distilbert": [[1, 0]]})
    quiet = notices.first(collected, RunPaths(tmp_path)).markup
    assert "busy" not in quiet
    works = [
        in_turn("single_stream", {"bert": 0.2, "distilbert": 0.1}, contended=2),
        in_turn("offline", {"bert": 2.0, "distilbert": 1.0}),
    ]
    busy = replace(collected, comparison=comparison_of(collected.study, collected.slugs, *works))
    markup = notices.first(busy, RunPaths(tmp_path)).markup
    assert markup.index("2 of 6 passes") < markup.index("This study:")
    assert "other programs" in markup and "run make all again" in markup
