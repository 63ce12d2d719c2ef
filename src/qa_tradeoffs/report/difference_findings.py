"""Where the models differ, in sentences and in tables for a reader; nothing is said that its interval does not show."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import agreement, slices
from qa_tradeoffs.analysis.cases import Case, Split
from qa_tradeoffs.analysis.compared import Compared
from qa_tradeoffs.analysis.confidence import BINS, Calibration
from qa_tradeoffs.core.words import listed, points
from qa_tradeoffs.metrics.choice import Gap
from qa_tradeoffs.report import display

_NONE = "(no answer)"
_FEWEST_PASSAGES = 30  # below that the spread between passages is known too badly
_ALIKE = 1.1  # from this ratio of widths on, what is near its bound is doubtful


def sliced(scores: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """In which slices two models differ by more than chance, which slices are too small, and what that does not say."""
    return [*_told(differences), *_too_small(scores)]


def by_passage(widths: pd.DataFrame, questions: int) -> list[str]:
    """How wide intervals would be over passages; nothing where that is the same, or passages are too few to say."""
    passages = int(widths["passages"].iloc[0])
    known = widths.dropna(subset="ratio")
    if passages in (1, questions) or passages < _FEWEST_PASSAGES or known.empty:
        return []
    score, gap = (known[(known["other"] == "") == alone]["ratio"] for alone in (True, False))
    said = (
        f"The {questions:,} questions are about {passages:,} passages, and those about one passage may be alike. Had "
        f"whole passages been drawn instead of questions, the intervals of F1 would be {_range(score)} times as wide"
    )
    differences = "" if gap.empty else f", those of differences in F1 {_range(gap)} times"
    doubt = " A difference whose interval almost reaches zero is then not shown." if gap.max() > _ALIKE else ""
    return [f"{said}{differences}.{doubt}"]


def shown_slices(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row per slice, a column per model: a metric in points with its interval, or that questions are too few."""
    low, high = scores[f"{metric}_low"], scores[f"{metric}_high"]
    cells = scores.assign(
        shown=[
            "too few" if pd.isna(value) else points(value, *bounds)
            for value, *bounds in zip(scores[metric], low, high, strict=True)
        ]
    )
    names = list(dict.fromkeys(zip(scores["slicing"], scores["slice"], scores["n"], strict=True)))
    wide = cells.pivot(index=["slicing", "slice", "n"], columns="model", values="shown").loc[names]
    first = pd.DataFrame(names, columns=["by", "slice", "questions"])
    return pd.concat([first, wide[list(dict.fromkeys(scores["model"]))].reset_index(drop=True)], axis=1)


def describe_slices(scores: pd.DataFrame) -> str:
    """The chart of slices in words: of each model its lowest and its highest slice."""
    shown = scores.dropna(subset="f1")
    if shown.empty:
        return f"Empty chart of F1 by kind of question: no slice has {slices.FEWEST} questions."
    ends = []
    for model, rows in shown.groupby("model", sort=False):
        low, high = (rows.loc[row] for row in (rows["f1"].idxmin(), rows["f1"].idxmax()))
        ends.append(
            f"{model} from {low['f1']:.1f} ({low['slicing']}: {low['slice']}) to {high['f1']:.1f} "
            f"({high['slicing']}: {high['slice']})"
        )
    return f"Dot chart of F1 with intervals by kind of question; estimates range, for {'; for '.join(ends)}."


def agreed(table: pd.DataFrame, compared: Compared) -> list[str]:
    """What an ideal choice between two models would reach, and how often they answer the same."""
    apart = table[table["model"] != table["other"]]
    if apart.empty:
        return ["There is one model in this report, so none to compare its answers with."]
    best = apart.loc[apart["either"].idxmax()]
    either = points(best["either"], best["either_low"], best["either_high"])
    sentences = [
        f"An ideal choice between {best['model']} and {best['other']}, which always picks a right answer where one of "
        f"them has it, would reach an EM of {either}, where the better of the two alone has {best['better']:.1f}. "
        "No real choice reaches that: it would have to know which of them is right."
    ]
    alike = apart.loc[apart["equal"].idxmax()]
    equal = points(alike["equal"], alike["equal_low"], alike["equal_high"])
    sentences.append(
        f"{alike['model']} and {alike['other']} give the same answer to {equal} % of the questions"
        f"{', the most of any two models' if len(apart) > 1 else ''}."
    )
    if max(map(len, compared.seeds.values())) > 1:
        sentences.append(
            "With several seeds, every seed of the one is compared with every seed of the other. A model beside itself "
            "is two of its seeds: what two trainings of one network differ in anyway."
        )
    return sentences


def shown_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """The agreement as a reader sees it."""
    names = {
        "both": "both right", "first": "only the first", "second": "only the second", "neither": "both wrong",
        "either": "either right", "equal": "same answer",
    }  # fmt: skip
    shown = {
        names[share]: [points(*row) for row in table[[share, f"{share}_low", f"{share}_high"]].astype(float).to_numpy()]
        for share in agreement.SHARES
    }
    return pd.DataFrame({"first": table["model"], "second": table["other"], **shown})


def calibrated(found: Calibration) -> list[str]:
    """Of each model whether it is too sure, and what it gains where its least sure answers stay out."""
    if found.models.empty:
        return [f"Fewer than {slices.FEWEST} questions say too little about confidence to be shown."]
    rows = found.models.itertuples()
    return [" ".join([_sureness(row), _error(row), _coverage(row.model, found.coverage)]) for row in rows]


def shown_calibration(found: Calibration) -> pd.DataFrame:
    """Calibration and selective answering as a reader sees them, in points."""
    models = found.models
    if models.empty:
        return pd.DataFrame(columns=["model"])
    shown = pd.DataFrame(
        {
            "model": models["model"],
            "confidence, mean": [f"{value:.1f}" for value in models["confidence"]],
            "EM": [f"{value:.1f}" for value in models["accuracy"]],
            "ECE": [points(*row) for row in models[["ece", "ece_low", "ece_high"]].to_numpy()],
            "ECE by chance": [f"up to {value:.1f}" for value in models["ece_chance"]],
            "AURC": [points(*row) for row in models[["aurc", "aurc_low", "aurc_high"]].to_numpy()],
            "AURC, best to worthless": [f"{r.aurc_best:.1f} to {r.aurc_random:.1f}" for r in models.itertuples()],
        }
    )
    for coverage in (80, 50):
        rows = found.coverage[found.coverage["coverage"].round() == coverage]
        cells = [points(*row) for row in rows[["em", "em_low", "em_high"]].to_numpy()]
        shown[f"EM at {coverage} %"] = cells
    return shown


def describe_reliability(found: Calibration) -> str:
    """The reliability diagram in words: of each model its least and most confident tenth."""
    if found.models.empty:
        return "Empty chart of accuracy against confidence: too few questions."
    ends = []
    for model, rows in found.bins.groupby("model", sort=False):
        low, high = rows.iloc[0], rows.iloc[-1]
        ends.append(
            f"{model} at {low['bin_confidence']:.0f} % right {low['bin_accuracy']:.0f} %, "
            f"at {high['bin_confidence']:.0f} % right {high['bin_accuracy']:.0f} %"
        )
    return f"Reliability diagram, accuracy against confidence in {BINS} bins of equal size; {'; '.join(ends)}."


def describe_coverage(found: Calibration) -> str:
    """The chart of accuracy against coverage in words."""
    if found.models.empty:
        return "Empty chart of EM against the share of questions answered: too few questions."
    named = [
        f"{model} from {rows.iloc[-1]['em']:.1f} with all to {rows.iloc[0]['em']:.1f} with the surest tenth"
        for model, rows in found.coverage.groupby("model", sort=False)
    ]
    return f"Line chart of EM against the share of questions answered, the most confident first; {'; '.join(named)}."


def examples(splits: Sequence[Split]) -> display.Html:
    """For every ordered two models some questions to read, folded."""
    if not splits:
        return display.paragraphs(["There is one model in this report, so none that another could miss."])
    return display.together(*(display.fold(_title(split), *(_case(split, c) for c in split.cases)) for split in splits))


def _title(split: Split) -> str:
    shown = f"{len(split.cases)} of {split.n:,} questions" if split.n else "no question"
    return f"{split.right} right, {split.wrong} wrong: {shown}"


def _case(split: Split, case: Case) -> display.Html:
    references = " | ".join(dict.fromkeys(case.example.answers)) or _NONE
    answers = [
        (kind, f"{label}, {kind}", f"{answer.text or _NONE} ({100 * answer.confidence:.0f} % sure)")
        for kind, label, answer in (("right", split.right, case.right), ("wrong", split.wrong, case.wrong))
    ]
    return display.passage(case.example.question, case.context, [("reference", "Reference", references), *answers])


def _range(values: "pd.Series[float]") -> str:
    """'0.92 to 1.10', or one figure where both ends read the same."""
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _told(differences: pd.DataFrame) -> list[str]:
    if differences.empty:
        return []
    rows = list(differences.itertuples())
    told = [row for row in rows if _gap(row).verdict in ("better", "worse")]
    within_runs = sum(_gap(row).told_over_questions for row in rows) - len(told)
    tested = len(differences[["slicing", "slice"]].drop_duplicates())
    intro = (
        f"{tested} slices and every two models make {len(differences):,} comparisons; "
        f"{len(told) or 'none'} of them {'shows' if len(told) < 2 else 'show'} a difference in F1 once p values are "
        "corrected for all of them together (Holm)."
    )
    pairs: dict[tuple[str, str], list[Any]] = {}
    for row in told:
        pairs.setdefault((row.model, row.other) if row.f1_difference > 0 else (row.other, row.model), []).append(row)
    sentences = [f"{ahead} is ahead of {behind} {_slices(rows)}." for (ahead, behind), rows in pairs.items()]
    if within_runs:
        sentences.append(
            f"In {within_runs} more the questions tell two models apart, but their training runs overlap: another run "
            "could close the gap."
        )
    if told:
        sentences.append(
            "Intervals are those of one slice alone. That a difference is shown in one slice and not in another does "
            "not show that it is larger there."
        )
    return [intro, *sentences]


def _gap(row: Any) -> Gap:
    return Gap(row.f1_difference, row.low, row.high, row.p_holm, row.runs_overlap)


def _slices(rows: list[Any]) -> str:
    """'in questions by answer position: last third by 4.2 (1.0 to 7.3) points, and …'."""
    return listed(
        [
            f"in {row.slicing} '{row.slice}' by {abs(row.f1_difference):.1f} "
            f"({min(abs(row.low), abs(row.high)):.1f} to {max(abs(row.low), abs(row.high)):.1f}) points"
            for row in rows
        ]
    )


def _too_small(scores: pd.DataFrame) -> list[str]:
    rows = scores[scores["f1"].isna()][["slicing", "slice", "n"]].drop_duplicates()
    if rows.empty:
        return []
    if len(rows) == len(scores[["slicing", "slice"]].drop_duplicates()):
        return [f"None of the {len(rows)} slices has {slices.FEWEST} questions, so none is shown."]
    named = listed([f"{row.slicing} '{row.slice}' ({row.n})" for row in rows.itertuples()])
    return [
        f"Too small to be shown, with fewer than {slices.FEWEST} questions: {named}. Even at {slices.FEWEST} "
        "an interval can be 28 points wide."
    ]


def _sureness(row: Any) -> str:
    """Whether confidence is above or below accuracy."""
    means = f"{row.model} is {row.confidence:.1f} % sure on average and right in {row.accuracy:.1f} %"
    if row.gap_low <= 0 <= row.gap_high:
        return f"{means}, which cannot be told from chance."
    kind = "too sure" if row.gap > 0 else "not sure enough"
    low, high = sorted(abs(bound) for bound in (row.gap_low, row.gap_high))
    return f"{means}: {kind} by {abs(row.gap):.1f} ({low:.1f} to {high:.1f}) points."


def _error(row: Any) -> str:
    said = f"Its expected calibration error is {points(row.ece, row.ece_low, row.ece_high)} points"
    if row.ece <= row.ece_chance:
        return f"{said}; chance alone can give a perfectly calibrated model {row.ece_chance:.1f}."
    return f"{said}, more than the {row.ece_chance:.1f} that chance can give a perfectly calibrated model."


def _coverage(model: str, coverage: pd.DataFrame) -> str:
    """What leaving out the least sure fifth gains."""
    row = coverage[(coverage["model"] == model) & (coverage["coverage"].round() == 80)].iloc[0]
    if row["gain_low"] <= 0:
        return "That leaving its least sure 20 % unanswered makes its answers better is not shown."
    gain = f"{row['gain']:.1f} ({row['gain_low']:.1f} to {row['gain_high']:.1f}) points more"
    return f"With its least sure 20 % left unanswered its EM is {row['em']:.1f}, {gain}."
