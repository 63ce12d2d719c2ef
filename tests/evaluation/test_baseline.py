from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation.baseline import MAX_TOKENS, answer, answer_all


def asked(context: str, question: str, example_id: str = "q") -> Example:
    return Example(id=example_id, title="t", context=context, question=question, answers=(), answer_starts=())


def test_the_answer_is_in_the_sentence_that_shares_most_words_with_the_question() -> None:
    context = "Berlin lies on the Spree. The capital of France is Paris. Oslo is small."
    assert answer(asked(context, "What is the capital of France?")) == "Paris"


def test_a_rare_shared_word_counts_more_than_a_frequent_one() -> None:
    # "river" is there four times and "blue" once: log(1 + 1/4) < log(1 + 1/1)
    context = "One river north. One river south. One river east. Another river west. Blue lakes glitter."
    assert answer(asked(context, "Which blue river?")) == "lakes glitter"


def test_a_word_repeated_in_a_sentence_counts_once_there() -> None:
    # "green" twice would be 2 · log(1 + 1/2) = 0.81, above log(1 + 1/1) = 0.69 for "tower"
    context = "Green lawns, green hills. Tower bells."
    assert answer(asked(context, "Which green tower?")) == "bells"


def test_within_the_sentence_the_window_with_most_shared_words_decides() -> None:
    context = "Bears, who slept all winter in the cold northern woods, and foxes ate red berries."
    assert answer(asked(context, "Who ate red berries?")) == "foxes"


def test_of_windows_with_equal_weight_the_first_decides() -> None:
    # log(2) + log(4/3) around "swan" and log(4/3) + log(2) around "mill", which floats add up differently
    context = "In red swan of the blue mill of the green oak barn of the end. Blue. Blue."
    assert answer(asked(context, "Which red blue green?")) == "swan"


def test_words_of_the_question_and_function_words_are_no_part_of_the_answer() -> None:
    assert answer(asked("The queen of the old Castle slept.", "Who slept in the castle?")) == "queen"


def test_the_answer_is_cut_to_the_longest_length_allowed() -> None:
    context = "Eggs: one two three four five six seven eight."
    assert answer(asked(context, "Which eggs?")) == " ".join("one two three four five".split()[:MAX_TOKENS])


def test_the_answer_keeps_the_spelling_and_spacing_of_the_context() -> None:
    assert answer(asked("Zoë paid  US$1,250.50   Dollars-cash.", "Who really paid?")) == "1,250.50   Dollars-cash"


def test_there_is_no_answer_where_the_context_has_only_words_of_the_question() -> None:
    assert answer(asked("The cat, the cat!", "Which cat?")) == ""
    assert answer(asked("", "Which cat?")) == ""


def test_the_answer_to_a_question_that_shares_nothing_is_still_a_phrase_of_the_context() -> None:
    assert answer(asked("Cats sleep. Dogs bark loudly.", "Why?")) == "Dogs bark loudly"


def test_answers_are_returned_by_id_whatever_came_before() -> None:
    first = asked("The capital of France is Paris.", "What is the capital of France?", "a")
    second = asked("The capital of Norway is Oslo.", "What is the capital of Norway?", "b")
    assert answer_all([first, second]) == answer_all([second, first]) == {"a": "Paris", "b": "Oslo"}


def test_characters_are_tokens_where_a_script_has_no_blanks() -> None:
    assert answer(asked("李木匠住在山谷。王阿姨卖绿茶。", "谁卖绿茶？")) == "王阿姨"
