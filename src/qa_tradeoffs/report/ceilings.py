"""What a perfect model would score, and why not more, in words."""

from collections.abc import Sequence

from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.core.words import counted, listed, percent
from qa_tradeoffs.evaluation.ceiling import LONG, OFFSETS, QUESTION, WINDOW
from qa_tradeoffs.metrics.records import Record

WORTH_A_NOTICE = 99.5  # points: below it, the gap to 100 shows in more than the last digit
_CAUSES = {
    LONG: "{n} whose answer has more than {limit} tokens (evaluation.max_answer_tokens)",
    WINDOW: "{n} whose answer is whole in no window of {limit} tokens (training.max_length, or a larger stride)",
    OFFSETS: "{n} whose answer does not begin and end where tokens do",
    QUESTION: "{n} that equal another question once cut to {limit} tokens (training.max_question_tokens)",
}


def notices(collected: Collected) -> list[str]:
    """A sentence for each ceiling that matters, with the models that have it."""
    labels: dict[str, list[str]] = {}
    for slug in collected.slugs:
        for sentence in sentences(of_model(slug, collected.evaluations)[0].records):  # the same with every seed
            labels.setdefault(sentence, []).append(collected.label(slug))
    return [f"{listed(models)}: {sentence}" for sentence, models in labels.items()]


def sentences(records: Sequence[Record]) -> list[str]:
    """What limits a model whatever it learns, from its evaluation's records; nothing if that hardly matters."""
    by_metric = {record.metric: record for record in records}
    exact, f1, cut = (by_metric[name] for name in ("ceiling_exact_match", "ceiling_f1", "questions_cut"))
    found = []
    if min(exact.value, f1.value) < WORTH_A_NOTICE:
        causes = [_cause(r) for r in records if r.metric == "out_of_reach" and r.value]
        found.append(
            f"even a perfect model would reach only EM {exact.value:.1f} and F1 {f1.value:.1f} within this study's "
            f"limits. Of {counted(exact.n, 'question')}, it cannot match exactly {listed(causes)}."
        )
    if 100 * cut.value > (100 - WORTH_A_NOTICE) * cut.n:
        limit, longest = (cut.conditions[name] for name in ("limit", "longest"))
        found.append(
            f"{cut.value:,.0f} of {counted(cut.n, 'question')} ({percent(cut.value / cut.n)}) are cut to their first "
            f"{limit} tokens (training.max_question_tokens); the longest has {longest}."
        )
    return found


def facts(records: Sequence[Record]) -> dict[str, str]:
    """The scores of a perfect model and how many questions are cut, for a reader."""
    by_metric = {record.metric: record for record in records}
    exact, f1, cut = (by_metric[name] for name in ("ceiling_exact_match", "ceiling_f1", "questions_cut"))
    limit, longest = (cut.conditions[name] for name in ("limit", "longest"))
    return {
        "EM": f"{exact.value:.2f}",
        "F1": f"{f1.value:.2f}",
        "questions cut": f"{cut.value:,.0f} of {cut.n:,}, to {limit} tokens; the longest has {longest}",
    }


def _cause(record: Record) -> str:
    return _CAUSES[str(record.conditions["cause"])].format(n=f"{record.value:,.0f}", limit=record.conditions["limit"])
