"""Every statement in the docstrings of ``lleval_lib.datasets``, checked against the data."""

import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll
from lleval_lib.catalogue import catalogue
from lleval_lib.datasets._shared import counted
from lleval_lib.datasets.clips import _shown
from lleval_lib.datasets.mmlu import _row
from lleval_lib.datasets.reviews import _split_of_films

reviews, plots, mmlu = map(cache, (ll.load_reviews, ll.load_plots, ll.load_mmlu_dev))
aclsum, board, judges = map(cache, (ll.load_aclsum, ll.load_alpaca_eval, ll.load_alpaca_judges))
easy_vqa, drugs = map(cache, (ll.load_easy_vqa, ll.load_drug_reviews))
human_eval = cache(ll.load_human_eval)
emoji = cache(ll.load_emoji)
LANGUAGES = {"en", "zh", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr"}

COLUMNS = {
    reviews: {"item_id", "film", "text", "label", "duplicate", "split"},
    plots: {"item_id", "film", "text"},
    drugs: {"item_id", "drug", "condition", "text", "label", "split"},
    human_eval: {"item_id", "name", "prompt", "solution", "test"},
    mmlu: {"item_id", "subject", "question", "choices", "answer", "rationale"},
    aclsum: {"item_id", "paper", "split", "title", "section", "text"}
    | {"challenge", "approach", "outcome"}
    | {"challenge_summary", "approach_summary", "outcome_summary"},
    emoji: {"item_id", "emoji", "block", "svg"} | LANGUAGES,
    board: {"system", "win_rate", "standard_error", "lc_win_rate", "lc_standard_error", "n_wins"}
    | {"n_wins_base", "n_draws", "n_total", "discrete_win_rate", "avg_length", "mode"},
    judges: {"judge", "human_agreement", "price", "time", "spearman", "pearson", "bias"}
    | {"variance", "p_longer", "p_lists", "p_first", "n_parsed", "mode"},
}
MAY_BE_NAN = {board: {"lc_standard_error"}, judges: {"price", "bias", "variance"}}
MAY_BE_EMPTY = {plots: {"text"}}
KEY = {board: "system", judges: "judge"}


@pytest.mark.parametrize("load", COLUMNS, ids=lambda load: load.__name__)
def test_columns_are_those_documented(load):
    table = load()
    assert set(table.columns) == COLUMNS[load]
    for column in COLUMNS[load]:
        assert f"``{column}``" in load.__doc__
    assert set(table.columns[table.isna().any()]) == MAY_BE_NAN.get(load, set())
    assert table[KEY.get(load, "item_id")].is_unique
    texts = table.select_dtypes(["object", "string"]).drop(columns="choices", errors="ignore")
    empty = texts.map(lambda text: text.strip() == "").any()
    assert set(texts.columns[empty]) == MAY_BE_EMPTY.get(load, set())


def test_reviews_counts():
    table = reviews()
    assert len(table) == 12_808
    assert table.label.value_counts().to_dict() == {"fresh": 7_403, "rotten": 5_405}
    assert table.film.nunique() == 507
    assert table.text.nunique() == 12_752


def test_a_film_lies_in_one_split_only():
    films = reviews().groupby("split").film.agg(set)
    assert {split: len(names) for split, names in films.items()} == {
        "train": 357,
        "validation": 50,
        "test": 100,
    }
    assert len(set.union(*films)) == 507


def test_the_split_follows_from_the_name_alone():
    # A split that hung on the order of the rows would change with the source's next version.
    table = reviews()
    shuffled = _split_of_films(table.film.drop_duplicates().sample(frac=1, random_state=0))
    assert (table.film.map(shuffled) == table.split).all()


def test_one_film_of_the_source_stood_under_two_names():
    table = reviews()
    assert "the_crime_of_padre_amaro" not in set(table.film)
    doubled = table[table.duplicate]
    per_film = doubled.film.value_counts()
    assert per_film["el_crimen_del_padre_amaro"] == 35
    assert (per_film.drop("el_crimen_del_padre_amaro") == 1).all()
    assert (len(per_film), len(doubled)) == (19, 53)
    amaro = table[table.film == "el_crimen_del_padre_amaro"]
    assert amaro.duplicate.sum() == len(amaro) / 2
    originals = table[~table.duplicate]
    assert not originals.duplicated(["film", "text"]).any()
    assert set(zip(doubled.film, doubled.text, strict=True)) <= set(
        zip(originals.film, originals.text, strict=True)
    )


def test_plots():
    table = plots()
    assert len(table) == table.film.nunique() == 1_097
    assert (table.text == "").sum() == 14
    assert len(set(table.film) & set(reviews().film)) == 156
    assert not set(table.text) & set(reviews().text)


@pytest.mark.parametrize(
    ("split", "n_images", "n"), [("train", 4_000, 38_575), ("test", 1_000, 9_673)]
)
def test_easy_vqa(split, n_images, n):
    questions, images = easy_vqa(split)
    assert images.shape == (n_images, 64, 64, 3)
    assert images.dtype == np.uint8
    assert list(questions.columns) == ["item_id", "question", "answer", "image"]
    assert len(questions) == n
    assert questions.item_id.is_unique
    assert not questions.isna().any(axis=None)
    assert questions.answer.nunique() == 13
    assert set(questions.image) == set(range(n_images))


def test_easy_vqa_rows_point_at_the_right_images():
    # The answer to "what color is the shape?" can be read off the picture.
    paint = {"red": 0, "green": 1, "blue": 2}
    questions, images = easy_vqa("test")
    asked = questions[questions.answer.isin(paint) & questions.question.str.contains("color")]
    assert len(asked) > 100
    for row in asked.itertuples():
        drawn = images[row.image].reshape(-1, 3).astype(int)
        shape = drawn[np.ptp(drawn, axis=1).argmax()]
        assert shape.argmax() == paint[row.answer], row.item_id


def test_easy_vqa_names_its_splits():
    with pytest.raises(LookupError, match="no split 'dev'; choose 'train' or 'test'"):
        ll.load_easy_vqa("dev")


@cache
def clips():
    return ll.make_clips(easy_vqa("test")[0], rng=0)


def _frames(table):
    return table[[f"frame_{i}" for i in range(1, 6)]].to_numpy()


def test_shapes_and_colours_of_the_images():
    """Of 888 of 1,000; and the colour is that of the pixels."""
    questions, images = easy_vqa("test")
    shown = _shown(questions)
    assert len(shown) == 888
    assert shown.groupby(["shape", "colour"]).ngroups == 24
    paint = {"red": 0, "green": 1, "blue": 2}
    for image, colour in shown.colour[shown.colour.isin(paint)].items():
        drawn = images[image].reshape(-1, 3).astype(int)
        assert drawn[np.ptp(drawn, axis=1).argmax()].argmax() == paint[colour]


def test_questions_that_contradict_each_other_are_refused():
    questions = easy_vqa("test")[0]
    told = questions[questions.question == "what is the color of the shape?"].head(1)
    lie = told.assign(answer="red" if told.answer.item() != "red" else "blue")
    with pytest.raises(ValueError, match="contradict each other about a colour"):
        ll.make_clips(pd.concat([questions, lie]))


def test_clips_are_balanced_and_each_stays_in_its_pool():
    table = clips()
    assert table.item_id.is_unique
    assert (table.groupby(["pool", "kind"]).size() == 24).all()
    frames = _frames(table)
    assert all(len(set(row)) == 5 for row in frames)
    owners = pd.DataFrame({"image": frames.ravel(), "pool": np.repeat(table.pool, 5)})
    assert (owners.groupby("image").pool.nunique() == 1).all()
    for kind, n in {"scene": 3, "count": 4, "order": 2, "change": 2}.items():
        shares = table[table.kind == kind].answer.value_counts(normalize=True)
        assert shares.to_numpy() == pytest.approx(np.full(n, 1 / n))


def test_the_answers_about_clips_follow_from_the_images():
    table, shown = clips(), _shown(easy_vqa("test")[0])
    for row, frames in zip(table.itertuples(), _frames(table), strict=True):
        shapes, colours = shown["shape"][frames].tolist(), shown.colour[frames].tolist()
        if row.kind == "scene":
            assert set(shapes) == {row.answer}
        elif row.kind == "count":
            assert shapes.count(row.question.split()[-1][:-1]) == int(row.answer)
        elif row.kind == "order":
            first, second = re.findall(r"does (\w+) come before (\w+)\?", row.question)[0]
            assert colours.count(first) == colours.count(second) == 1
            assert (colours.index(first) < colours.index(second)) == (row.answer == "yes")
        else:
            assert len(set(colours)) == 4
            assert (colours[0] == colours[-1]) == (row.answer == "yes")


def test_one_frame_is_worth_what_chapter_15_says():
    """By the best rule for what the frame shows, chosen on these very clips."""
    table, shown = clips(), _shown(easy_vqa("test")[0])
    order, count = (table[table.kind == kind] for kind in ("order", "count"))
    pair = order.question.str.extract(r"does (\w+) come before (\w+)\?")
    shape = count.question.str.split().str[-1].str[:-1]
    for place, bound in enumerate((0.7, 0.6, 0.5, 0.6, 0.7), start=1):
        colour = order[f"frame_{place}"].map(shown.colour)
        sees = (pair[0] == colour) + 2 * (pair[1] == colour)
        best = pd.crosstab(sees, order.answer).max(axis=1).sum() / len(order)
        assert best == pytest.approx(bound, abs=0.04)
        sees = count[f"frame_{place}"].map(shown["shape"]) == shape
        best = pd.crosstab(sees, count.answer).max(axis=1).sum() / len(count)
        assert best == pytest.approx(0.4, abs=0.04)


def test_twins_have_the_same_frames_and_the_other_answer():
    table = clips()
    pairs = table[table.kind.isin(["order", "change"])].groupby("pair")
    assert (pairs.size() == 2).all()
    assert (pairs.answer.nunique() == 2).all()
    assert (pairs.question.nunique() == 1).all()
    bags = pd.Series([tuple(sorted(row)) for row in _frames(table)], table.index)
    assert (bags.groupby(table.pair).nunique() == 1).all()
    # Whoever takes the first of each pair gets no hint from it.
    first = table[table.kind == "change"].drop_duplicates("pair").answer
    assert abs((first == "yes").mean() - 0.5) < 0.12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_kind": 13}, "a multiple of 12, such as 24, found 13"),
        ({"pool": 10}, "pool"),
        ({"pool": 2_000}, "expected at most"),
    ],
)
def test_clips_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        ll.make_clips(easy_vqa("test")[0], **arguments)


def test_mmlu_dev_counts():
    table = mmlu()
    assert len(table) == 282
    per_subject = table.subject.value_counts()
    assert len(per_subject) == 57
    assert set(per_subject[per_subject == 4].index) == {
        "formal_logic",
        "college_chemistry",
        "human_aging",
    }
    assert set(per_subject) == {4, 5}


def test_mmlu_dev_choices_and_answers():
    table = mmlu()
    n_choices = table.choices.map(len)
    assert table[n_choices == 5].item_id.tolist() == ["college_chemistry-3"]
    assert set(n_choices) == {4, 5}
    answered = zip(table.answer, table.choices, strict=True)
    assert all("ABCDE".index(answer) < len(choices) for answer, choices in answered)
    assert all(choice for choices in table.choices for choice in choices)
    doubled = table[table.choices.map(lambda choices: len(set(choices)) < 4)]
    assert set(doubled.item_id) >= {"high_school_biology-0"}
    first = table.set_index("item_id").loc["college_chemistry-0"]
    assert first.choices == ("an acid", "a base", "a catalyst", "a reducing agent")
    assert first.answer == "D"
    assert first.question.startswith("3 Cl")
    assert first.rationale.endswith("This is the behavior of a reducing agent, or (D).")


def test_mmlu_dev_is_damaged_where_the_docstring_says():
    table = mmlu()
    texts = table.question + "\0" + table.rationale
    damaged = texts.str.contains("[\x0b-\x1f]|\n(?:rac|actorial)")
    assert damaged.sum() == 5


def test_a_question_that_cannot_be_read_is_an_error():
    with pytest.raises(ValueError, match="question 3 of law cannot be read"):
        _row("law", 3, "What?\n(A) a (B) b\nA: Let's think step by step. Hm.")


def test_drug_reviews_counts():
    table = drugs()
    assert len(table) == 979
    assert table.label.value_counts().to_dict() == {"positive": 633, "negative": 256, "neutral": 90}
    names = table.groupby("split").drug.agg(set)
    assert {s: len(n) for s, n in names.items()} == {"train": 219, "validation": 45, "test": 210}
    assert len(set.union(*names)) == 474
    assert not table.text.str.contains("&#|&quot;").any()


def test_human_eval_counts():
    table = human_eval()
    assert len(table) == 164
    assert table.name.nunique() == 158
    assert table.item_id[0] == "HumanEval/0"
    for problem in table.itertuples():
        assert f"def {problem.name}(" in problem.prompt
        assert "def check(candidate)" in problem.test


def test_emoji():
    table = emoji()
    assert len(table) == 1_391
    assert table.block.nunique() == 146
    assert table.item_id.is_unique
    for row in table.itertuples():
        assert ord(row.emoji[0]) == int(row.item_id, 16)
        assert row.block == row.item_id[:-1]
        assert row.svg.lstrip().startswith("<svg")
    for language in LANGUAGES:
        assert table[language].str.strip().ne("").all(), language
        assert not table[language].str.contains("[:_]").any(), language
    cat = table.set_index("item_id").loc["1F431"]
    assert (cat.en, cat.zh, cat.block) == ("cat face", "猫脸", "1F43")


def test_movielens_counts():
    ratings, films, people = ll.load_movielens()
    assert ratings.columns.tolist() == ["user", "film", "rating", "time"]
    assert films.columns.tolist() == ["film", "title", "year", "genres"]
    assert people.columns.tolist() == ["user", "age", "gender", "occupation"]
    for table in (ratings, films, people):
        assert all(f"``{column}``" in ll.load_movielens.__doc__ for column in table)
    assert (len(ratings), len(films), len(people)) == (100_000, 1_682, 943)
    assert ratings.groupby("user").size().agg(["min", "max"]).tolist() == [20, 737]
    assert not ratings.duplicated(["user", "film"]).any()
    assert set(ratings.rating) == {1, 2, 3, 4, 5}
    assert people.gender.value_counts().to_dict() == {"M": 670, "F": 273}
    assert films.year.isna().sum() == 2
    assert films.duplicated(["title", "year"]).sum() == 18
    assert films.film.tolist() == list(range(1, 1_683))
    assert people.user.tolist() == list(range(1, 944))


def test_times_of_movielens_are_those_of_sittings():
    ratings, _, _ = ll.load_movielens()
    assert ratings.time.is_monotonic_increasing
    assert ratings.duplicated(["user", "time"], keep=False).mean() == pytest.approx(0.758, abs=1e-3)
    assert ratings.time.dt.year.isin([1997, 1998]).all()


def test_movielens_says_that_its_ratings_are_not_to_be_passed_on():
    assert "no redistribution" in ll.load_movielens.__doc__
    assert "no redistribution" in catalogue()["movielens"].licence


def test_aclsum_counts():
    table = aclsum()
    assert len(table) == 9_612
    papers = table.groupby("split").paper.agg(set)
    assert {s: len(p) for s, p in papers.items()} == {"train": 100, "validation": 50, "test": 100}
    assert len(set.union(*papers)) == 250
    assert set(table.section) == {"abstract", "introduction", "conclusion"}


def test_aclsum_marks_and_summaries_belong_to_the_paper():
    table = aclsum()
    for aspect in ("challenge", "approach", "outcome"):
        assert table[aspect].dtype == bool
        assert 0.1 < table[aspect].mean() < 0.2
        assert (table.groupby("paper")[f"{aspect}_summary"].nunique() == 1).all()
    first = table.iloc[1]
    assert first.item_id == "P06-1112-abstract-1"
    assert first.text.startswith("Using the correlation measure")
    assert (first.challenge, first.approach, first.outcome) == (False, True, False)


def test_the_board_has_a_constant_answer_at_its_top():
    table = board()
    assert len(table) == 223
    assert (table.n_total == 805).sum() == 210
    assert table.n_total.between(801, 805).all()
    top = table.loc[table.lc_win_rate.idxmax()]
    assert top.system == "NullModel"
    assert top.lc_win_rate == pytest.approx(86.4578, abs=5e-5)
    assert top.lc_standard_error == pytest.approx(0.1418, abs=5e-5)


def test_the_board_is_as_documented():
    table = board()
    assert (table.n_wins + table.n_wins_base + table.n_draws == table.n_total).all()
    counted = 100 * (table.n_wins + table.n_draws / 2) / table.n_total
    follows = np.isclose(table.discrete_win_rate, counted)
    assert table[~follows].system.tolist() == ["aligner-2b_gpt-4-turbo-2024-04-09"]
    assert table.lc_standard_error.notna().sum() == 48
    assert set(table["mode"]) == {"minimal", "verified", "community", "dev"}
    assert table[table["mode"] == "dev"].system.str.contains("_verbose|_concise").all()
    base = table.set_index("system").loc["gpt4_1106_preview"]
    assert base.win_rate == base.lc_win_rate == 50
    for rate in ("win_rate", "lc_win_rate", "discrete_win_rate"):
        assert table[rate].between(0, 100).all()


def test_judges_agree_with_people_as_published():
    table = judges().set_index("judge")
    assert len(table) == 32
    assert table.human_agreement["longest"] == pytest.approx(62.19, abs=0.005)
    assert table.human_agreement["humans"] == pytest.approx(65.66, abs=0.005)
    assert table.p_longer["longest"] == 1
    assert table.spearman["humans"] == table.pearson["humans"] == 1
    # A rule gives the same choice each time: no variance, and its bias is its disagreement.
    assert table.variance["longest"] == 0
    assert table.bias["longest"] == pytest.approx(100 - table.human_agreement["longest"])


def test_judges_chose_once_or_four_times():
    table = judges()
    often = table.n_parsed > 648
    assert often.sum() == 18
    assert table.n_parsed.max() == 4 * 648
    assert table[~often].n_parsed.max() == 648
    assert (table.bias.notna() == often).all()
    assert (table.variance.notna() == often).all()
    assert table[["p_longer", "p_lists", "p_first"]].stack().between(0, 1).all()
    assert set(table["mode"]) == {"minimal", "verified"}


def test_one_judge_has_its_columns_misfiled():
    table = judges()
    odd = table[table.human_agreement < 50]
    assert odd.judge.tolist() == ["weighted_alpaca_eval_gpt-4o-mini-2024-07-18"]
    assert odd.human_agreement.item() == pytest.approx(0.337, abs=0.0005)


@pytest.mark.parametrize(
    ("part", "omitted", "mean"), [("quantitative", 4_104, 45.55), ("verbal", 1_025, 44.91)]
)
def test_the_swedish_sat(part, omitted, mean):
    chosen, key = ll.load_swedish_sat(part)
    assert chosen.shape == (5_000, 80)
    assert chosen.isna().sum().sum() == omitted
    assert set(np.unique(chosen.to_numpy()[chosen.notna()])) == {1, 2, 3, 4, 5}
    assert key.between(1, 5).all()
    assert key.index.equals(chosen.columns)
    total = (chosen == key).sum(axis=1)
    assert total.mean() == pytest.approx(mean, abs=0.01)


def test_the_two_parts_of_the_swedish_sat_are_of_other_people():
    """irtorch puts them side by side as one test of 160 items; their totals are unrelated."""
    totals = [
        (t == key).sum(axis=1) for t, key in map(ll.load_swedish_sat, ("quantitative", "verbal"))
    ]
    assert abs(np.corrcoef(totals)[0, 1]) < 0.03


def test_there_is_no_third_part():
    with pytest.raises(ValueError, match="part"):
        ll.load_swedish_sat("spatial")


def test_a_count_that_differs_is_an_error():
    with pytest.raises(ValueError, match="things: found 2 rows, expected 1,000"):
        counted(pd.DataFrame({"x": [1, 2]}), 1_000, "things")


@pytest.mark.parametrize(
    "load",
    [
        ll.load_reviews,
        ll.load_plots,
        ll.load_drug_reviews,
        ll.load_easy_vqa,
        ll.load_human_eval,
        ll.load_mmlu_dev,
        ll.load_aclsum,
        ll.load_emoji,
        ll.load_alpaca_eval,
        ll.load_alpaca_judges,
        ll.load_swedish_sat,
        ll.load_stereoset,
        ll.load_crows_pairs,
        ll.load_bbq,
        ll.load_winobias,
        ll.load_profanity_check,
    ],
)
def test_a_loader_states_source_and_licence(load):
    assert re.search(
        r"Source: .*\d{4}.*(MIT|Apache-2\.0|CC BY(-SA)? 4\.0)", load.__doc__, re.DOTALL
    )


def test_banking():
    documents, tasks = ll.load_banking()
    assert list(documents.columns) == ["doc_id", "title", "text"]
    assert list(tasks.columns) == ["item_id", "family", "opening", "instructions", "required"]
    assert (len(documents), len(tasks), tasks.family.nunique()) == (698, 97, 71)
    assert documents.doc_id.is_unique
    assert tasks.item_id.is_unique
    sizes = tasks.required.map(len)
    assert (sizes.min(), sizes.max(), round(sizes.mean(), 1)) == (1, 30, 9.8)
    needed = tasks.required.explode()
    assert needed.nunique() == 215
    assert set(needed) <= set(documents.doc_id)
    assert not tasks.required.map(lambda ids: len(set(ids)) < len(ids)).any()


def test_the_opening_is_what_the_customer_says_first():
    tasks = ll.load_banking()[1].set_index("item_id")
    assert tasks.opening["task_043"].startswith("Hi, I'd like to close my Platinum Rewards Card.")
    told = tasks.opening.str.startswith(("Start by", "You're looking for"))
    assert (~told).sum() == 89
    assert tasks.family["task_065"] == tasks.family["task_069"]  # one is a variant of the other
    words = tasks.opening.str.split().map(len)
    assert words.between(11, 113).all()


def test_stereoset():
    sentences, labels = ll.load_stereoset()
    assert len(sentences) == 12_687
    assert sentences.item_id.is_unique
    gold = sentences.groupby("context_id").gold.agg(set)
    assert len(gold) == 4_229
    assert (gold.map(len) == 3).all()
    assert sentences.bias_type.value_counts().to_dict() == {
        "race": 5_814,
        "profession": 4_911,
        "gender": 1_491,
        "religion": 471,
    }
    assert sentences.target.nunique() == 79
    assert (labels.groupby("item_id").size() == 5).all()
    assert set(labels.item_id) == set(sentences.item_id)
    assert labels.annotator.nunique() == 1_808
    assert labels.duplicated(["item_id", "annotator"]).sum() == 309
    votes = labels.groupby("item_id").label.value_counts()
    assert votes.groupby("item_id").max().min() == 3  # a majority always: the others were left out
    most = votes.groupby("item_id").idxmax().map(lambda pair: pair[1])
    assert (most[sentences.item_id].to_numpy() == sentences.gold).all()
    for table in (sentences, labels):
        assert all(f"``{column}``" in ll.load_stereoset.__doc__ for column in table)


def test_crows_pairs():
    pairs, judged = ll.load_crows_pairs()
    assert len(pairs) == 1_508
    assert pairs.item_id.is_unique
    assert pairs.direction.value_counts().to_dict() == {"stereo": 1_290, "antistereo": 218}
    assert (pairs.more != pairs.less).all()
    # `more` is the stereotyped one in both directions: here a doctor is "he".
    assert (
        " he "
        in pairs.query("direction == 'antistereo' and more.str.contains('doctor')").more.iloc[0]
    )
    assert (judged.groupby("item_id").annotator.nunique() == 5).all()
    assert judged.annotator.nunique() == 287
    assert judged.bias_type.eq("none").sum() == 666
    assert set(judged.bias_type) - {"none"} == set(pairs.bias_type)
    assert pairs.bias_type.nunique() == 9
    for table in (pairs, judged):
        assert all(f"``{column}``" in ll.load_crows_pairs.__doc__ for column in table)


def test_bbq():
    table = ll.load_bbq()
    assert len(table) == 58_492
    assert table.item_id.is_unique
    assert (table.template.nunique(), table.category.nunique()) == (343, 11)
    assert set(table.condition) == {"ambig", "disambig"}
    assert set(table.polarity) == {"neg", "nonneg"}
    assert table.answers.map(len).eq(3).all()
    ambiguous = table.condition == "ambig"
    assert table.label[ambiguous].eq(table.unknown[ambiguous]).all()
    assert table.label[~ambiguous].ne(table.unknown[~ambiguous]).all()
    assert table.target.ne(table.unknown).all()
    assert table.target.eq(-1).sum() == 16
    assert all(f"``{column}``" in ll.load_bbq.__doc__ for column in table)


def test_what_the_stereotype_suggests_turns_with_the_question():
    table = ll.load_bbq().query("target >= 0 and condition == 'ambig'")
    number = table.item_id.str[-5:].astype(int) // 4
    places = table.assign(pair=table.category + number.astype(str))
    places = places.pivot(index="pair", columns="polarity", values="target")
    assert len(places) == 14_619
    assert (places.neg != places.nonneg).all()


def test_winobias():
    pairs = ll.load_winobias()
    assert len(pairs) == 1_584
    assert pairs.item_id.is_unique
    assert (pairs.groupby(["kind", "split"]).size() == 396).all()
    assert pairs.profession.nunique() == 40
    assert pairs.profession.value_counts().between(36, 42).all()
    assert (pairs.groupby("profession").pronoun.nunique() == 1).all()
    assert pairs.groupby("pronoun").profession.nunique().to_dict() == {"he": 20, "she": 20}
    first = pairs.set_index("item_id").loc["winobias-1-dev-001"]
    assert first.pro == "The developer argued with the designer because he did not like the design."
    assert first.anti == first.pro.replace(" he ", " she ")
    assert not pairs.pro.str.contains(r"[\[\]]").any()
    gendered = {"he", "him", "his", "himself", "she", "her", "hers", "herself"}
    same = [
        [word for word in re.findall(r"[\w']+", text.lower()) if word not in gendered]
        for text in [*pairs.pro, *pairs.anti]
    ]
    assert sum(a != b for a, b in zip(same[:1584], same[1584:], strict=True)) == 17
    assert all(f"``{column}``" in ll.load_winobias.__doc__ for column in pairs)


def test_glove():
    vectors = ll.load_glove()
    assert vectors.shape == (400_000, 50)
    assert vectors.index[:3].to_list() == ["the", ",", "."]
    assert vectors.index.is_unique
    unit = vectors.loc[["king", "queen", "cabbage"]].to_numpy()
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.7 > 0.2 > unit[0] @ unit[2]
    # The first numbers of "the" in glove.6B.50d.txt.
    assert np.allclose(vectors.loc["the"].to_numpy()[:3], [0.418, 0.24968, -0.41242])


def test_profanity_check():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        offence = ll.load_profanity_check()
        found = offence(["I am a gay man.", "I am a straight man.", "man gay"])
    # What the package itself gives under scikit-learn 1.6.1, which it asks for.
    assert np.allclose(found, [0.9515, 0.0995, found[0]], atol=0.001)
    with pytest.raises(TypeError, match="list"):
        offence("I am a gay man.")
