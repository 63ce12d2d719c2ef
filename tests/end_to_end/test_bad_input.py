"""Every reader refuses corrupted input in one sentence: a table of named cases, and random mutations.

A case reads: this reader ("border") refuses input corrupted like this with this message (the part after the path).
"""

import contextlib
import datetime
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml
from conftest import predictions_of, price_at_par, results_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from qa_tradeoffs.analysis import collected
from qa_tradeoffs.core import errors
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.engines import asking
from qa_tradeoffs.metrics import __main__ as metrics_command
from qa_tradeoffs.metrics import files, squad
from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.runs import clean, execute, forecast, results, selection, stage
from qa_tradeoffs.study import config, prices, published
from tests.changes import REMOVED, replaced

ROOT = Path(__file__).parents[2]
CONTEXT = "Zoë met שלום and e\u0301. Zoë left."
STUDY = {
    "title": "A study of Zoë",
    "about": "For tests.",
    "data": {"source": "files", "file": "all.json"},
    "models": {
        "bert": {"label": "BERT", "architecture": "bert", "config": {"hidden_size": 16}},
        "mini": {"label": "MiniLM", "hub": "someone/mini", "revision": "0123abc"},
    },
    "training": {"learning_rate": 0.001, "epochs": 2, "batch_size": 8, "max_length": 64, "stride": 16},
    "seeds": [0, 1],
    "profile": {
        "forward": {"batch_sizes": [1], "lengths": [16, 32]},
        "training_step": {"batch_sizes": [2], "lengths": [16]},
    },
    "price": "laptop",
}
PRICES = {
    "laptop": {"provider": "Zoë", "machine": "laptop", "usd_per_hour": 0.5, "date": datetime.date(2026, 3, 1), "source": "x"}
}  # fmt: skip
SQUAD = {
    "version": "1.1",
    "data": [
        {"title": title, "paragraphs": [{"context": CONTEXT, "qas": [
            {"id": f"{title}{row}", "question": "Who?", "answers": [{"text": text, "answer_start": CONTEXT.index(text)}]}
            for row, text in enumerate(("Zoë", "שלום"))
        ]}]}
        for title in ("a", "b")
    ],
}  # fmt: skip
PREDICTIONS = {"a0": "Zoë", "a1": "left", "b0": "", "b1": "שלום"}


def as_yaml(content: Any) -> bytes:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def read_metrics(path: Path) -> dict[str, float]:
    references = {qa["id"]: [answer["text"] for answer in qa["answers"]] for article in SQUAD["data"]
                  for qa in article["paragraphs"][0]["qas"]}  # fmt: skip
    return squad.aggregate(squad.score_questions(files.read_predictions(path), references))


def result() -> results.Results:
    rows = [
        {"metric": "f1", "value": 81.5, "unit": "points", "n": 500, "interval": {"low": 79.0, "high": 84.0, "over": "questions"}},
        {"metric": "seconds", "value": 0.25, "unit": "s", "n": 9, "conditions": {"batch_size": 1, "length": 32}},
    ]  # fmt: skip
    study = config.Study.model_validate(replaced(STUDY, ("data",), {"source": "hub", "name": "a/b", "revision": "c"}))
    return results_of(study, "evaluate", "mini", 0, rows)


def experiment() -> results.Experiment:
    made = result()
    origin = {key: value for key, value in made.provenance if key in results.Origin.model_fields}
    return results.Experiment(experiment="anomaly", origin=results.Origin(**origin), records=made.records)


def again_study(study: config.Study, path: Path) -> None:
    content = study.model_dump(mode="json")
    assert config.check(content, path).model_dump(mode="json") == content
    known = forecast.assumptions(ROOT / "studies" / "assumptions.yaml")
    for model in study.models.values():
        if model.architecture:  # what a forecast makes of it
            with contextlib.suppress(StudyError):
                assert list(forecast.build(model, known).parameters())


def again_squad(examples: list[Any], path: Path) -> None:
    for e in examples:
        assert e.answers
        for text, start in zip(e.answers, e.answer_starts, strict=True):
            assert e.context[start : start + len(text)] == text
    nested = [
        {"title": e.title, "paragraphs": [{"context": e.context, "qas": [{"id": e.id, "question": e.question, "answers": [
            {"text": text, "answer_start": start} for text, start in zip(e.answers, e.answer_starts, strict=True)
        ]}]}]}
        for e in examples
    ]  # fmt: skip
    path.write_bytes(as_json({"data": nested}))
    assert sources.read_files(path)[0] == examples


def is_valid(found: BaseModel) -> bool:
    return type(found).model_validate(found.model_dump(by_alias=True)) == found


class Border(NamedTuple):
    """A reader: ``read`` reads what ``write`` wrote; ``holds`` is true of everything that is read, however mutated."""

    read: Callable[[Path], Any]
    write: Callable[[Any], bytes]
    holds: Callable[[Any, Path], Any]


BORDERS = {
    "study": Border(config.load, as_yaml, again_study),
    "prices": Border(prices.load, as_yaml, lambda table, _: all(map(is_valid, table.values()))),
    "published": Border(published.load, as_yaml, lambda found, _: is_valid(found)),
    "assumptions": Border(forecast.assumptions, as_yaml, lambda found, _: is_valid(found)),
    "squad": Border(lambda path: sources.read_files(path)[0], as_json, again_squad),
    "references": Border(
        files.read_references, as_json, lambda found, _: all(type(text) is str for texts in found.values() for text in texts)
    ),
    "predictions": Border(read_metrics, as_json, lambda found, _: 0 <= found["exact_match"] <= found["f1"] <= 100),
    # Whatever was done to the file: the figures are those that were written.
    "result": Border(results.read, as_json, lambda found, _: found == result()),
    "experiment": Border(results.read_experiment, as_json, lambda found, _: found == experiment()),
}  # fmt: skip


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The valid content at each border."""
    folder = tmp_path_factory.mktemp("valid")
    results.write(folder / "result", result())
    results.write(folder / "experiment", experiment())
    ours = {name: yaml.safe_load((ROOT / f"studies/{name}.yaml").read_text()) for name in ("published", "assumptions")}
    written = {name: json.loads((folder / name).read_text()) for name in ("result", "experiment")}
    texts = {"squad": SQUAD, "references": SQUAD, "predictions": PREDICTIONS}
    return {"study": STUDY, "prices": PRICES} | texts | ours | written


def refusal(command: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on which a command ends; its exit code is 2."""
    with pytest.raises(SystemExit) as end:
        errors.exit_cleanly(lambda: command() and None)
    printed = capsys.readouterr()
    assert end.value.code == 2, printed.out
    (line,) = printed.err.splitlines()
    assert len(line) < 1500
    return line.removeprefix("error: ")


# How to corrupt valid input: as content (put), as text (said), or as bytes (raw).
Spoil = Callable[[Any, Callable[[Any], bytes]], bytes]


def put(*path_and_value: Any) -> Spoil:
    *path, value = path_and_value
    return lambda content, write: write(replaced(content, tuple(path), value))


def said(old: str, new: str) -> Spoil:
    def spoil(content: Any, write: Callable[[Any], bytes]) -> bytes:
        text = write(content).decode()
        assert old in text
        return text.replace(old, new, 1).encode()

    return spoil


def raw(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda content, write: change(write(content))


def bomb(start: str, item: str) -> str:
    """Twelve lines of YAML that expand to 9¹² values."""
    lines = [f"b0: &b0 {start}"] + [f"b{i}: &b{i} {item.format(', '.join([f'*b{i - 1}'] * 9))}" for i in range(1, 13)]
    return "\n".join(lines) + "\n"


UNFOLDS = "is not valid YAML (its aliases expand to more than 100,000 values)"
QA = ("data", 0, "paragraphs", 0, "qas", 0)
AT = "data[0].paragraphs[0].qas[0]"
HUGE = 10**400

CASES: list[tuple[str, str, Spoil, str]] = [
    # name, border, how it is corrupted, the message
    ("a bomb of aliases", "study", said("title: ", bomb("[x]", "[{}]") + "title: "), UNFOLDS),
    ("a bomb in a config", "study", lambda c, w: bomb("[x]", "[{}]").encode() + w(c).replace(b"e: 16", b"e: *b12"), UNFOLDS),
    ("a bomb as a key", "study", said("title: ", bomb("[x]", "[{}]") + "? *b12\n: 1\ntitle: "), UNFOLDS),
    ("a bomb of merged keys", "study", said("title: ", bomb("{x: 1}", "{{<<: [{}]}}") + "title: "), UNFOLDS),
    ("a list that holds itself", "study", said("title: ", "x: &x [*x]\ntitle: "), UNFOLDS),
    ("nested 100,000 deep", "study", said("title: ", "x: " + "[" * 100_000 + "\ntitle: "), "is not valid YAML (is nested more than 100 levels"),
    ("nested 100 deep", "study", said("title: ", "x: " + "[" * 100 + "]" * 100 + "\ntitle: "), "x: unknown key; the keys here are title, about, data, models, "),
    ("nested without brackets", "study", raw(lambda b: b"x: " + b"- " * 5000 + b"1\n" + b), "is not valid YAML ("),
    ("a text of 10 MB", "study", raw(lambda b: b + b"# " + b"x" * (10**7 - len(b) - 2)), "has 10,000,000 bytes; a file that people write has at most 1,000,000"),
    ("a key of 100 kB", "study", put("x" * 10**5, 1), "x" * 199 + "…: unknown key; the keys here are title, about"),
    ("a NUL, escaped", "study", put("title", "a\x00b"), "is not valid YAML (line 1: the character '\\x00' "),
    ("a NUL as it is", "study", raw(lambda b: b.replace(b"A study", b"A\x00study")), "is not valid YAML (unacceptable character #x0000"),
    ("half a surrogate pair", "study", said("A study of Zoë", '"\\ud800"'), "is not valid YAML (line 1: the character '\\ud800' "),
    ("latin-1", "study", raw(lambda b: b.decode().encode("latin-1")), "is not valid YAML (unacceptable character #x00eb: invalid cont"),
    ("UTF-16 without its mark", "study", raw(lambda b: b.decode().encode("utf-16-be")), "is not valid YAML (unacceptable character #x00eb"),
    ("cut in the middle", "study", raw(lambda b: b[: b.index(b"lengths: ") if b"lengths: " in b else b.index(b"forward") + 3]), "profile: must be a mapping with the keys forward, training_step, passes, "),
    ("nothing", "study", raw(lambda b: b""), "must be a mapping with the keys title, about, data, models, "),
    ("twice the same", "study", raw(lambda b: b + b), "is not valid YAML (line 38: the key 'title' "),
    ("two documents", "study", raw(lambda b: b + b"---\n" + b), "is not valid YAML (line 38: but found another document)"),
    ("a Python object", "study", said("A study of Zoë", "!!python/object/apply:os.getcwd []"), "is not valid YAML (line 1: could not determine a constructor"),
    ("an empty !!int", "study", said("A study of Zoë", '!!int ""'), "is not valid YAML (line 1: '' is not a valid int)"),
    ("a !!bool of something", "study", said("A study of Zoë", "!!bool perhaps"), "is not valid YAML (line 1: 'perhaps' is not a valid bool)"),
    ("a !!timestamp of something", "study", said("A study of Zoë", "!!timestamp soon"), "is not valid YAML (line 1: 'soon' is not a valid timestamp)"),
    ("a day that is none", "study", said("A study of Zoë", "2026-02-30"), "is not valid YAML (line 1: '2026-02-30' is not a valid timestamp)"),
    ("a title that YAML takes for a day", "study", said("A study of Zoë", "2026-02-20"), "title: must be text, in quotes if it looks like a number"),
    ("a number of octal digits", "study", said("batch_size: 8", "batch_size: 010"), "training.batch_size: must be a whole number (it is 10.0)"),
    ("a number to the base 60", "study", said("batch_size: 8", "batch_size: 1:20"), "training.batch_size: must be a whole number (it is '1:20')"),
    ("a number beyond all floats", "study", said("epochs: 2", "epochs: 1e999"), "training.epochs: must be a finite number (it is inf)"),
    ("a number of 400 digits", "study", put("training", "epochs", HUGE), "training.epochs: must be a number (it is 1000000000000"),
    ("a number of 5,000 digits", "study", said("epochs: 2", "epochs: " + "9" * 5000), "is not valid YAML (line "),
    ("epochs for ever", "study", put("training", "epochs", 1e300), "training.epochs: must be less than or equal to 10000 (it is 1e+300)"),
    ("not a number", "study", put("training", "learning_rate", float("nan")), "training.learning_rate: must be a finite number (it is nan)"),
    ("windows of huge length", "study", put("profile", "forward", "lengths", [10**12]), "profile.forward.lengths[0]: must be less than or equal to 8192"),
    ("a number as a key", "study", put("models", 1, {}), "models[1]: must be text, in quotes if it looks like a number (it is 1)"),
    ("a model that climbs out", "study", put("models", "../../etc", {}), "models.../../etc: must be at most 41 characters of a-z 0-9 . _ - and begin with"),
    ("a model where a run keeps its rules", "study", put("models", {"rules.mk": STUDY["models"]["bert"]}), "a model cannot be named 'rules.mk'"),
    ("a model that is a path", "study", put("models", "/etc", {}), "models./etc: must be at most 41 characters of a-z 0-9 . _ - and begin with"),
    ("a data set that is a folder", "study", put("data", {"source": "hub", "name": "../data", "revision": "a"}), "data.name: must be owner/name, as the Hub writes it (it is '../data')"),
    ("a data set that is a loader", "study", put("data", {"source": "hub", "name": "pandas", "revision": "a"}), "data.name: must be owner/name, as the Hub writes it (it is 'pandas')"),
    ("code in a config", "study", put("models", "bert", "config", "auto_map", "x.Y"), "models.bert.config: `auto_map` is not allowed: code from"),
    ("a list in a config", "study", put("models", "bert", "config", "hidden_size", [0.5] * 999), "models.bert.config: `hidden_size` must be one finite number, text, true or false, or a list of whole numbers, not [0.5, 0.5, "),
    ("a price without a name", "prices", put(3, PRICES["laptop"]), "[3]: must be text, in quotes if it looks like a number (it is 3)"),
    ("a negative price", "prices", put("laptop", "usd_per_hour", -1), "laptop.usd_per_hour[0]: must be greater than or equal to 0 (it is -1)"),
    ("an endless price", "prices", put("laptop", "usd_per_hour", float("inf")), "laptop.usd_per_hour[0]: must be a finite number (it is inf)"),
    ("three prices", "prices", put("laptop", "usd_per_hour", [1, 2, 3]), "laptop.usd_per_hour: has too many values"),
    ("a row that is a text", "prices", put("laptop", "cheap"), "laptop: must be a mapping with the keys provider, machine, usd_per_hour, date, source, note (it is 'cheap')"),
    ("a bomb of prices", "prices", said("laptop:", bomb("[1]", "[{}]") + "laptop:"), UNFOLDS),
    ("a figure too few", "published", lambda c, w: w(replaced(c, ("original", "inference", "p100", "bert"), [1.0])), "original.inference: p100.bert has 1 values; give one for each of"),
    ("more points than there are", "published", put("original", "scores", "by_model", "bert", "f1", 101), "original.scores.by_model.bert.f1: must be less than or equal to 100"),
    ("a data set without questions", "assumptions", put("datasets", "rajpurkar/squad", "train_questions", 0), "datasets.rajpurkar/squad.train_questions: must be greater than 0 (it is 0)"),
    ("an architecture that is no encoder", "assumptions", put("checkpoints", "a/b", {"architecture": "gpt2"}), "checkpoints.a/b.architecture: must be 'bert', 'distilbert', "),
    ("words of endless tokens", "assumptions", put("tokens_per_word", float("inf")), "tokens_per_word: must be a finite number (it is inf)"),
    ("assumptions as a list", "assumptions", raw(lambda b: b"[]"), "must be a mapping with the keys datasets, checkpoints, "),
    ("published as a list", "published", raw(lambda b: b"[]"), "must be a mapping with the keys original, papers, machines"),
    ("a key twice", "squad", said('"context"', '"context": "another", "context"'), "has the key 'context' twice in one object"),
    ("latin-1 questions", "squad", raw(lambda b: b.decode("unicode-escape").encode("latin-1", "replace")), "is text in the encoding "),
    ("cut in a question", "squad", raw(lambda b: b[: len(b) // 2]), "is not JSON ("),
    ("lists without end", "squad", raw(lambda b: b"[" * 10**6), "is not JSON (maximum recursion depth exceeded"),
    ("an offset of 400 digits where nothing is", "squad", put(*QA, "answers", 0, {"text": "Eve", "answer_start": HUGE}), f"1 of 4 questions has an answer that does not occur in the context, first 'a0' ({AT}: 'Eve'); "),
    ("an offset of 5,000 digits", "squad", said('"answer_start": 0', '"answer_start": ' + "9" * 5000), "is not JSON (Exceeds the limit (4300 digits) for integer string"),
    ("an offset that is NaN", "squad", put(*QA, "answers", 0, "answer_start", float("nan")), "is not JSON (NaN is not a finite number)"),
    ("an offset with a point", "squad", put(*QA, "answers", 0, "answer_start", 0.5), f"{AT}.answers[0].answer_start: must be a whole number (it is 0.5)"),
    ("a title that is a list", "squad", put("data", 0, "title", ["a"]), "data[0].title: must be text, in quotes if it looks like a number"),
    ("half a character in a title", "squad", put("data", 0, "title", "\ud83d"), "data[0].title: must be valid Unicode, without unpaired surrogates (it is '\\ud83d')"),
    ("combining marks taken apart", "squad", put(*QA, "answers", 0, "text", "\u00e9."), f"1 of 4 questions has an answer that does not occur in the context, first 'a0' ({AT}: 'é.'); "),
    ("references with a key twice", "references", said('"id"', '"id": "x", "id"'), "has the key 'id' twice in one object"),
    ("a question twice", "references", put(*QA, "id", "a1"), "data[0].paragraphs[0].qas[1].id repeats 'a1'"),
    ("a question predicted twice", "predictions", said('"a1"', '"a0"'), "has the key 'a0' twice in one object"),
    ("a prediction that is a number", "predictions", put("a0", 3), "the prediction for 'a0' must be a string"),
    ("predictions as a list", "predictions", raw(lambda b: b'["a0"]'), "must be one JSON object"),
    ("predictions in UTF-7", "predictions", raw(lambda b: "{ë}".encode("utf-7")), "is not JSON ("),
    ("another figure", "result", put("records", 0, "value", 91.5), "was changed after it was written; run the stage"),
    ("a record too few", "result", put("records", 1, REMOVED), "was changed after it was written; run the stage"),
    ("a figure in quotes, and no digest", "result", lambda c, w: w(replaced(replaced(c, ("sha256",), REMOVED), ("records", 0, "value"), "81.5")), "is not a result file of this program (records[0].value: must be a number (it is '81.5'))"),
    ("a value twice", "result", said('"value": 81.5', '"value": 91.5, "value": 81.5'), "has the key 'value' twice in one object"),
    ("half a result", "result", raw(lambda b: b[: len(b) // 2]), "is not JSON ("),
    ("a result of NaN", "result", said("81.5", "NaN"), "is not JSON (NaN is not a finite number)"),
    ("a result beyond all floats", "result", said("81.5", "1e999"), "is not JSON (1e999 is not a finite number)"),
    ("another figure of an experiment", "experiment", put("records", 0, "value", 91.5), "was changed after it was written; run make anomaly"),
    ("a stage's result as an experiment", "experiment", lambda c, w: w(replaced(replaced(c, ("sha256",), REMOVED), ("experiment",), "train")), "is not a result file of this program (experiment: must be 'anomaly'"),
]  # fmt: skip


@pytest.mark.parametrize(("border", "spoil", "message"), [c[1:] for c in CASES], ids=[f"{c[1]}: {c[0]}" for c in CASES])
def test_a_corrupted_file_is_refused(tmp_path, capsys, valid, border, spoil, message):
    path = tmp_path / "spoilt"
    path.write_bytes(spoil(valid[border], BORDERS[border].write))
    assert refusal(lambda: BORDERS[border].read(path), capsys).startswith(f"{path}: {message}")


@pytest.mark.parametrize("border", BORDERS)
def test_what_is_valid_is_read(tmp_path, valid, border):
    path = tmp_path / "valid"
    path.write_bytes(BORDERS[border].write(valid[border]))
    assert BORDERS[border].read(path)


PATHS = {
    "a path that holds a NUL": ("a\0b", r"'.*a\\x00b': cannot be read \(embedded null byte\)"),
    "a path too long": ("x" * 5000, r".*: cannot be read \(File name too long\)"),
    "a folder": (".", r".*: (cannot be read \(Is a directory\)|has no file that ends in .*)"),
    "a device without end": ("/dev/zero", r"/dev/zero: is a device, which may never end; give a file"),
    "a file below a file": ("file/below", r".*: cannot be read \(Not a directory\)"),
}


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("name", "said"), PATHS.values(), ids=PATHS)
def test_a_path_that_is_not_a_file_is_refused(tmp_path, border, name, said):
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=rf"^{said}$"):
        BORDERS[border].read(tmp_path / name)


# --- mutations ---

VALUES = [
    None, True, 0, -1, 2**63, HUGE, 0.5, 1e308, -1e-320, float("nan"), float("inf"), -float("inf"), "", "8", "x" * 5000,
    "a\x00b", "\ud800", "\u202eשלום", "e\u0301", [], {}, [[[[]]]], {"a": {"b": 1}}, datetime.date(2026, 1, 1),
]  # fmt: skip
# Raw text that no writer produces, put in the place of a value.
TEXTS = {
    "10 MB": '"' + "x" * 10**7 + '"',
    "a number of 5,000 digits": "9" * 5000,
    "a float beyond all floats": "1e999",
    "lists in lists": "[" * 900 + "]" * 900,
    "lists without end": "[" * 1500,
    "mappings in mappings": '{"a":' * 5000 + "1" + "}" * 5000,
    "half a pair": '"\\ud800"',
    "both halves": '"\\ud83d\\ude00"',
    "a NUL": '"\\u0000"',
    "right to left": '"\u202eשלום \u0627\u0644\u0639"',
    "combining": '"' + "e" + "\u0301" * 1000 + '"',
}
PLACE = "put it here 7f3a"
TIMES = int(os.environ.get("MUTATIONS_TIMES", "1"))  # MUTATIONS_TIMES=40 for a long look


def generated(examples: int) -> settings:
    """A number of inputs, the same ones each time, with at most a minute for each."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples * TIMES, deadline=60_000, derandomize=TIMES == 1, suppress_health_check=quiet)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Any refusal inside the block must be one sentence."""
    try:
        yield
    except StudyError as error:
        assert "\n" not in str(error)
        assert 0 < len(str(error)) < 1500


BYTES: list[Callable[[bytes, int], bytes]] = [
    lambda b, at: b[:at],
    lambda b, at: b[at:],
    lambda b, at: b[:at] + b"\x00" + b[at:],
    lambda b, at: b[:at] + b"\xff" + b[at:],
    lambda b, at: b[:at] + b[at : at + 40] * 2 + b[at + 40 :],
    lambda b, at: b[:at] + bytes([b[at] ^ 1]) + b[at + 1 :],
    lambda b, at: b.decode().encode("utf-16"),
    lambda b, at: b.decode().encode("utf-32"),
    lambda b, at: b.decode().encode("utf-16-le"),
    lambda b, at: b.decode().encode("utf-8-sig"),
    lambda b, at: b.decode().encode("latin-1", "replace"),
    lambda b, at: b + b,
]


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of keys to all that the content holds."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in items for place in ((*path, key), *places(value, (*path, key)))]


def mutated(draw: st.DataObject, content: Any, write: Callable[[Any], bytes]) -> bytes:
    """The content with one part dropped, repeated or replaced, or its bytes cut, doubled or encoded differently."""
    kind = draw.draw(st.sampled_from(["drop", "twice", "value", "text", "bytes"]))
    if kind == "bytes":
        text = write(content)
        return draw.draw(st.sampled_from(BYTES))(text, draw.draw(st.integers(0, len(text) - 1)))
    path = draw.draw(st.sampled_from(places(content)))
    if kind == "text":
        mark = PLACE.encode() if write is as_yaml else as_json(PLACE)
        before, _, after = write(replaced(content, path, PLACE)).partition(mark)
        return before + TEXTS[draw.draw(st.sampled_from(sorted(TEXTS)))].encode() + after
    if kind == "twice" and isinstance(path[-1], int):
        parent = reduce(getitem, path[:-1], content)
        return write(replaced(content, path[:-1], [*parent, parent[path[-1]]]))
    value = REMOVED if kind == "drop" else draw.draw(st.sampled_from(VALUES))
    if write is as_json and isinstance(value, datetime.date):
        value = "2026-01-01"
    return write(replaced(content, path, value))


@pytest.mark.parametrize("border", BORDERS)
@generated(60)
@given(draw=st.data())
def test_a_mutated_file_is_refused_or_read_as_something_valid(tmp_path, valid, border, draw):
    path = tmp_path / "mutated"
    path.write_bytes(mutated(draw, valid[border], BORDERS[border].write))
    with one_sentence():
        found = BORDERS[border].read(path)
        assert BORDERS[border].holds(found, tmp_path / "again") in (True, None)


# --- result tables ---


@pytest.fixture
def collect(written_study) -> Callable[..., Any]:
    """A function that writes a frame, or bytes, where a table of a finished study is, and reads all of the study."""
    study, folder = written_study

    def call(name: str, content: pd.DataFrame | bytes) -> Any:
        path = getattr(folder, name)("bert", 0)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.to_parquet(path)
        return collected.collect(study, price_at_par(), folder, ["bert"], [0])

    return call


TABLES = {
    "no row": ("history", pd.DataFrame({"step": [], "epoch": [], "loss": []})),
    "a loss of NaN": ("history", pd.DataFrame({"step": [1], "epoch": [1.0], "loss": [None]})),
    "no parquet": ("history", b"PAR1"),
    "a column too few": ("predictions", predictions_of([1, 0]).drop(columns="f1")),
    "a score that is missing": ("predictions", predictions_of([1, None])),
    "scores of another run": ("predictions", predictions_of([1, 1])),
    "another question": ("predictions", predictions_of([1, 0]).replace("q1", "q7")),
    "a question twice": ("predictions", predictions_of([1, 0]).replace("q1", "q0")),
}


@pytest.mark.parametrize(("name", "content"), TABLES.values(), ids=TABLES)
def test_a_table_that_was_not_written_with_its_result_is_refused(collect, capsys, name, content):
    assert f"{name}.parquet: " in refusal(lambda: collect(name, content), capsys)


def test_a_table_with_a_changed_byte_is_refused(collect, written_study):
    written = written_study[1].predictions("bert", 0).read_bytes()
    collect("predictions", written)
    for at in range(4, len(written), max(1, len(written) // 60)):
        with pytest.raises(StudyError):
            collect("predictions", written[:at] + bytes([written[at] ^ 255]) + written[at + 1 :])


# --- checkpoints ---


def rewritten(name: str, content: Any) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else as_json(content))


def with_setting(name: str, **keys: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        settings_of = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(settings_of | keys))

    return change


def cut(name: str, share: float) -> Callable[[Path], Any]:
    return lambda folder: os.truncate(folder / name, int((folder / name).stat().st_size * share))


CHECKPOINTS = {
    "no folder": (lambda folder: folder.rename(folder.with_name("away")), ": there is no such folder; a model's `path` is relative"),
    "a config cut short": (cut("config.json", 0.5), "/config.json: is not JSON ("),
    "a config in UTF-16 without its mark and half of it": (rewritten("config.json", b"{\x00\x22"), "/config.json: is not JSON ("),
    "a config with a key twice": (rewritten("config.json", b'{"model_type": "bert", "model_type": "vit"}'), "/config.json: has the key 'model_type' twice"),
    "a config nested without end": (rewritten("config.json", b'{"a":' * 10**5), "/config.json: is not JSON ("),
    "a config of a huge width": (with_setting("config.json", hidden_size=HUGE), ": cannot be loaded for question answering ("),
    "a config of a negative width": (with_setting("config.json", hidden_size=-1), ": cannot be loaded for question answering ("),
    "a config of endless layers": (with_setting("config.json", num_hidden_layers=2**63), "/config.json: num_hidden_layers: is 9223372036854775808; networks here have at most 1000"),
    "a config of NaN": (with_setting("config.json", hidden_dropout_prob=float("nan")), "/config.json: is not JSON (NaN is not a finite number)"),
    "code in its config": (with_setting("config.json", auto_map={"AutoConfig": "c.C"}), "/config.json: needs custom code (auto_map)"),
    "code in its tokenizer's config": (with_setting("tokenizer_config.json", auto_map={"AutoTokenizer": ["t.T", None]}), "/tokenizer_config.json: needs custom code (auto_map)"),
    "a kernel in place of attention": (with_setting("config.json", attn_implementation="someone/kernel"), "/config.json: attn_implementation: is 'someone/kernel', but "),
    "weights of another name": (with_setting("config.json", transformers_weights="adapter_model.bin"), "/config.json: transformers_weights: is 'adapter_model.bin', but"),
    "an adapter": (rewritten("adapter_config.json", {"base_model_name_or_path": "a/b"}), ": is an adapter"),
    "weights cut short": (cut("model.safetensors", 0.5), ": cannot be loaded for question answering ("),
    "weights with a header of 2⁶⁰ bytes": (rewritten("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"), ": cannot be loaded for question answering ("),
    "an index that leads out": (lambda folder: ((folder / "model.safetensors").rename(folder.parent / "w.safetensors"), rewritten("model.safetensors.index.json", {"weight_map": {"a": "../absent.safetensors"}})(folder)), ": "),
    "a tokenizer cut short": (cut("tokenizer.json", 0.5), ": its tokenizer cannot be loaded ("),
    "a tokenizer of nothing": (rewritten("tokenizer.json", {}), ": its tokenizer cannot be loaded ("),
    "a tokenizer that is a list": (rewritten("tokenizer.json", []), ": its tokenizer cannot be loaded ("),
    "a tokenizer without an unknown token": (with_setting("tokenizer_config.json", unk_token=None), ": its tokenizer cannot be loaded (WordPiece error: Missing [UNK]"),
    "a tokenizer of texts as long as a word": (with_setting("tokenizer_config.json", model_max_length="long"), ": its tokenizer cannot be loaded ("),
    "a tokenizer with a token of its own": (with_setting("tokenizer_config.json", cls_token="8"), ": its tokenizer has "),
    "a tokenizer without padding": (with_setting("tokenizer_config.json", pad_token=None), ": its tokenizer has no padding token; its settings must name a pad_token"),
    "a tokenizer's config that is a list": (rewritten("tokenizer_config.json", []), "/tokenizer_config.json: must be a mapping of keys, not list"),
}  # fmt: skip


@pytest.fixture(scope="session")
def checkpoint(network_of: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "checkpoint"
    checkpoints.save(network_of(), tokenizer, folder)
    return folder


@pytest.mark.parametrize(("spoil", "message"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_corrupted_checkpoint_is_refused(checkpoint, tmp_path, capsys, spoil, message):
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    spoil(folder)
    line = refusal(lambda: asking.ask(folder, "A passage.", ["Who?"], device="cpu"), capsys)
    assert line.startswith(f"{folder}{message}")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@generated(15)
@given(draw=st.data())
def test_a_mutated_checkpoint_is_refused_or_answers_within_its_context(checkpoint, tmp_path, name, draw):
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint", dirs_exist_ok=True)
    (folder / name).write_bytes(mutated(draw, json.loads((folder / name).read_text()), as_json))
    with one_sentence():
        (found,) = asking.ask(folder, CONTEXT, ["Who met?"], device="cpu")
        assert found.text == CONTEXT[found.start : found.end] != ""
        assert 0 < found.probability <= 1


@generated(40)
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), keep=st.booleans())
def test_weights_with_a_changed_byte_or_cut_short_are_refused_or_give_numbers(checkpoint, tmp_path, at, byte, keep):
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint", dirs_exist_ok=True)
    written = (folder / "model.safetensors").read_bytes()
    at %= 2000  # its header, and some of what comes after
    rest = bytes([byte]) + written[at + 1 :] if keep else b""
    (folder / "model.safetensors").write_bytes(written[:at] + rest)
    with one_sentence():
        (found,) = asking.ask(folder, CONTEXT, ["Who met?"], device="cpu")
        assert 0 < found.probability <= 1


# --- what commands are given ---

NOTEBOOK = str(ROOT / "notebooks" / "1-train.ipynb")
PARAMETERS = {
    "a seed that is a text": (["seed", "many"], "1-train.ipynb: seed: must be a whole number, not 'many'"),
    "a seed with a point": (["seed", "1.0"], "1-train.ipynb: seed: must be a whole number, not 1.0"),
    "a seed that is true": (["seed", "true"], "1-train.ipynb: seed: must be a whole number, not True"),
    "a seed with a leading zero": (["seed", "01"], "1-train.ipynb: seed: must be a whole number, not 1.0"),
    "no seed": (["seed", ""], "1-train.ipynb: seed: must be a whole number, not None"),
    "a model that is a number": (["model", "3"], "1-train.ipynb: model: must be text, not 3"),
    "a study that is a list": (["study", "[a]"], "1-train.ipynb: study: must be text, not ['a']"),
    "no study": (["model", "bert"], "study: is missing; give -p study VALUE"),
    "a parameter of another notebook": (["seeds", "0"], "1-train.ipynb: has no parameter 'seeds'; it has study, model, seed, "),
    "half a list": (["model", "[a"], "model: '[a' is not valid YAML; "),
    "a bomb": (["model", bomb("[x]", "[{}]")], "model: 'b0: &b0 [x] b1: "),
}  # fmt: skip


@pytest.mark.parametrize(("parameter", "message"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(tmp_path, capsys, parameter, message):
    output = tmp_path / "out" / "1-train.ipynb"
    assert refusal(lambda: execute.main(["train", str(output), "-p", *parameter]), capsys).startswith(message)
    assert not output.parent.exists()


TEXT = st.one_of(st.text(max_size=30), st.sampled_from([value for value in VALUES if isinstance(value, str)]))
WORDS = st.one_of(TEXT, st.sampled_from(["bert", "0", "studies/smoke.yaml", "cpu", "../..", "/", "0 0", "9" * 5000]))


@generated(100)
@given(name=st.sampled_from(["study", "model", "seed", "device", "run"]), value=WORDS)
def test_any_parameter_is_refused_or_is_of_the_type_that_the_notebook_says(name, value):
    with one_sentence():
        found = execute._value(name, value)
        execute._check_parameters(Path(NOTEBOOK), {name: found})
        assert type(found) is (int if name == "seed" else str)


@generated(100)
@given(study=WORDS, model=WORDS, seed=st.integers(), device=WORDS, folder=WORDS)
def test_a_stage_opened_by_hand_with_any_parameters_is_refused_or_begins(study, model, seed, device, folder):
    with one_sentence():
        begun = stage.start("train", study, model, seed, device, folder)
        assert (begun.slug, begun.seed) == (model, seed)


@generated(100)
@given(study=WORDS, slugs=WORDS, seeds=WORDS)
def test_an_analysis_of_anything_is_refused_before_it_shows_a_figure(study, slugs, seeds, tmp_path):
    with one_sentence():
        collected.for_analysis(study, slugs, seeds, str(tmp_path / "run"))
        pytest.fail("nothing was run in this folder")


@generated(40)
@given(context=TEXT, asked=TEXT)
def test_any_text_is_refused_or_answered_from_itself(checkpoint, context, asked):
    with one_sentence():
        (found,) = asking.ask(checkpoint, context, [asked], device="cpu")
        assert found.text == context[found.start : found.end] != ""


@pytest.mark.parametrize(
    ("context", "question", "message"),
    [
        ("A passage.", " ", "question 1: is empty; expected a question"),
        ("\n", "Who?", "context: is empty; expected a passage of text"),
        ("A passage.", "Who \udc80?", "question 1: has an unpaired surrogate; expected"),
        ("A \ud83d passage.", "Who?", "context: has an unpaired surrogate; expected"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(checkpoint, capsys, context, question, message):
    line = refusal(lambda: asking.ask(checkpoint, context, [question], device="cpu"), capsys)
    assert line.startswith(message)


def test_a_threshold_that_is_not_a_number_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["metrics", "d.json", "p.json", "--v2", "--na-prob-thresh", "nan"])
    assert refusal(metrics_command.main, capsys).startswith(
        "--na-prob-thresh: is not a number; give the score above which"
    )


VARIABLES = {
    "no study": ({"STUDY": ""}, "STUDY: there is no file studies/.yaml; give demo, squad, or the path"),
    "two studies": ({"STUDY": "demo squad"}, "STUDY: 'demo squad'"),
    "a study that is not there": ({"STUDY": "nowhere"}, "STUDY: there is no file studies/nowhere.yaml; give demo"),
    "a study that is a command": ({"STUDY": "demo;ls"}, "STUDY: 'demo;ls'"),
    "a seed that is a command": ({"SEEDS": "`ls`"}, "SEEDS: '`ls`'"),
    "a device that ends the quotes": ({"DEVICE": "cpu' 'x"}, "DEVICE: 'cpu' 'x'"),
    "models that are a pattern": ({"MODELS": "*"}, "MODELS: '*'"),
    "a folder in a shell's variable": ({"RUN": "$HOME"}, "RUN: '$HOME'"),
    "an unknown model": ({"MODELS": "bert albert"}, "MODELS: unknown model 'albert'; studies/demo.yaml has"),
    "a model twice": ({"MODELS": "bert bert"}, "MODELS: 'bert bert' has a duplicate"),
    "a seed twice": ({"SEEDS": "1 0 1"}, "SEEDS: '1 0 1' has a duplicate"),
}


@pytest.mark.parametrize(("variables", "message"), VARIABLES.values(), ids=VARIABLES)
def test_an_invalid_variable_of_make_is_refused(variables, message, capsys):
    line = refusal(lambda: selection.selected({"STUDY": "demo"} | variables), capsys)
    assert line.startswith(message)


SPECIAL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PIECES = st.sampled_from(
    ["demo", "..", "/", ".yaml", " ", "\n", "\t", "$", "'", "`", ";", "~", "-", "שלום", "e\u0301", "#", "=", "%"]
)


@generated(100)
@given(study=st.one_of(SPECIAL, st.lists(PIECES, max_size=5).map("".join)), run=st.one_of(st.just(""), SPECIAL))
def test_make_clean_removes_the_studys_own_folder_or_refuses_for_any_name(study, run):
    with one_sentence():
        results, report = clean.folders(study, run)
        assert results.parent == ROOT / "runs"
        assert report == ROOT / "reports" / results.name
        assert results.name not in ("", ".", "..")


@pytest.mark.parametrize("value", ["/nowhere/progress", "a\0b", "x" * 5000])
def test_progress_that_cannot_be_reported_does_not_stop_the_work(monkeypatch, value):
    from qa_tradeoffs.core import progress

    monkeypatch.setattr(os, "environ", {progress.VARIABLE: value})
    progress.Progress("training", 2).update(2)
