"""What a reader must know: at the top the kind of study and failed runs, at the end further warnings."""

from collections.abc import Mapping, Sequence

import pandas as pd

from qa_tradeoffs.analysis import health, provenance, side_by_side, speed
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.report import ceilings, choice, display, lettering
from qa_tradeoffs.report import speed as times
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config


def first(collected: Collected, run: RunPaths) -> display.Html:
    """The top of the report: which figures not to trust, and what was studied."""
    study, passes = collected.study, sum(len(one.passes) for one in collected.comparison.works)
    stopped = health.stopped(collected, run)  # quotes the error, which may quote the data
    sentences = [
        *contended(side_by_side.contended(collected), passes),
        *health.notices(collected),
        kind_of_study(study, collected.slugs),
        *([study.about] if study.about else []),
    ]
    errors = [display.of_data(display.paragraphs(stopped, "notice"))] if stopped else []
    return display.together(*errors, display.paragraphs(sentences, "notice"))


def warnings(collected: Collected, choices: pd.DataFrame) -> display.Html:
    """What else limits the figures; ``choices`` are the models that the answer is about."""
    sentences = [
        *times.invalid(speed.invalid(collected)),
        *choice.limits(choices),
        *left_out(collected.study, collected.slugs, collected.seeds),
        *own_recipes(collected),
        *defaults(collected.study),
        *ceilings.notices(collected),
        *data_notes(collected),
        *names_in_charts({slug: collected.label(slug) for slug in collected.slugs}),
    ]
    return display.paragraphs(sentences, "notice") if sentences else display.none("nothing unusual was found")


def kind_of_study(study: config.Study, slugs: Sequence[str]) -> str:
    """The kinds of data and weights, so that nobody takes a demonstration for a result."""
    generated = isinstance(study.data, config.GeneratedData)
    source = f" ({study.data.name})" if isinstance(study.data, config.HubData) else ""
    parts = ["generated text" if generated else f"real text{source}"]
    parts += ["some questions without an answer"] if study.data.v2 else []
    parts += [_weights([study.models[slug] for slug in slugs])]
    warning = " It shows the method; it says nothing about these models' accuracy on SQuAD." if generated else ""
    return f"This study: {', '.join(parts)}.{warning}"


def defaults(study: config.Study) -> list[str]:
    """The defaults of the keys that the study file leaves out; nothing if it gives them all."""
    return [f"Not set in the study file, so defaults apply: {stands}."] if (stands := study.defaults()) else []


def contended(found: pd.DataFrame, passes: int) -> list[str]:
    """That the machine was busy while the models were timed, and what to do; nothing if it was not.

    ``found``: a row per kind of work with contended passes, of ``passes`` in all.
    """
    if found.empty:
        return []
    why = listed(sorted({reason for reasons in found["why"] for reason in reasons}))
    return [
        f"The machine was busy: {found['contended'].sum()} of {passes} passes of the comparison are contended ({why}), "
        "even after repeats. Their times are too long, and marked. Ratios suffer less, because they are taken within "
        "passes. To measure again, close other programs, delete comparison.json in the folder of the run, and run "
        "make all again."
    ]


def left_out(study: config.Study, slugs: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """The models and seeds of the study that the report leaves out; nothing if it has all."""
    models = [model.label for slug, model in study.models.items() if slug not in slugs]
    parts = [*models, *(f"seed {seed}" for seed in study.seeds if seed not in seeds)]
    return [f"Part of the study is left out of this report: {listed(parts)}."] if parts else []


def names_in_charts(labels: Mapping[str, str]) -> list[str]:
    """What charts write in place of labels (by slug) that they cannot write; nothing if they can write all."""
    pairs = [f"{name} for {label}" for label, name in lettering.of(labels)[1].items() if name != label]
    return [f"Charts write {listed(pairs)}: the label is too long, or no font has its characters."] if pairs else []


def own_recipes(collected: Collected) -> list[str]:
    """Models trained differently from the others, by their recipes or by the precisions that their networks support."""
    recipes, precisions = provenance.own_recipes(collected), provenance.trained_in(collected)
    parts = [f"{label} with {recipe}" for label, recipe in recipes.items()]
    found = [f"Not all models were trained alike: {'; '.join(parts)}."] if parts else []
    if len(precisions) > 1:
        each = listed([f"{listed(labels)} in {one}" for one, labels in precisions.items()])
        found.append(f"Trained in different precisions: {each}. Part of any difference may come from that.")
    return found


def data_notes(collected: Collected) -> list[str]:
    """What was corrected, left out or noticed while the questions were read, each once."""
    notes = dict.fromkeys(note for file in collected.evaluations.values() for note in file.notes)
    return [f"{note}." for note in notes]


def _weights(models: list[config.Model]) -> str:
    """'published checkpoints fine-tuned here', with the models' names if there are several kinds."""
    kinds: dict[str, list[str]] = {}
    for model in models:
        where = "checkpoints from disk" if model.path else "published checkpoints"
        here = "as they came" if model.fine_tuned else "fine-tuned here"
        kind = f"{where} {here}"
        if model.architecture:
            kind = "models trained from scratch" if model.from_scratch else "layers of checkpoints fine-tuned here"
        kinds.setdefault(kind, []).append(model.label)
    return ", ".join(f"{kind} ({listed(labels)})" if len(kinds) > 1 else kind for kind, labels in kinds.items())
