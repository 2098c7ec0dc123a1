"""Spoken questions: what a recogniser hears, and what that costs the service. Ten minutes.

The opening words of the 97 banking tasks of τ-Knowledge, and film reviews of at most 12 words, are
spoken by espeak-ng in six voices, clean and by telephone, and recognised by pocketsphinx with a
general language model or with the task's own one: a trigram model of the task's documents, the 698
of the bank, or the reviews of the training films. For chapter 19.

*Design.* Text i is spoken by voice i mod 6, and heard by every recogniser in both channels, which
are so compared within the same text and voice; voices are not. Recognisers hear the same sound;
clean and telephone were recorded apart, each of a text spoken anew. Tasks with the same opening
words share `text_id`. The cluster is the voice.

*Words.* Texts are spoken and scored without punctuation, in lower case, with numbers and $ and %
as words, "-" a space; errors are those of jiwer. A *content word* is one without apostrophe that
`STOP` lacks: scikit-learn's English stop words, less those that say something in a bank.
`content_errors` are substitutions and deletions of content words; words added are in no such rate.

*Service.* For banking, `score` is the share of a task's required documents among the first 10 of
BM25, `any` whether one is, `minilm` and `minilm_any` the same by MiniLM; `true_…` is what the true
text finds. For reviews, `score` is whether a probe on MiniLM, learned from the training films,
says the label, `logit` its log-odds of "fresh". `heard` is only kept for banking: reviews are not
ours to copy.
"""

import ctypes
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import bm25s
import espeakng_loader
import jiwer
import numpy as np
import pandas as pd
import pocketsphinx
from reviews import items as reviews
from scipy.signal import butter, resample_poly, sosfiltfilt
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.linear_model import LogisticRegression

import lleval_lib as ll

# Voice: (espeak-ng's name, words a minute).
VOICES = {
    "American": ("gmw/en-US", 150),
    "American f2": ("gmw/en-US+f2", 150),
    "American m3": ("gmw/en-US+m3", 175),
    "British": ("gmw/en", 150),
    "British f3": ("gmw/en+f3", 130),
    "Scottish": ("gmw/en-GB-scotland", 150),
}
# Channel: the band of the speech in Hz, or all.
NOISES = {"clean": None, "telephone": (300, 3_400)}
DECIBELS = 40  # of the speech over the white noise of either
TASKS = ("banking", "reviews")
RECOGNISERS = ("general", "own")
SYSTEMS = tuple(f"{recogniser}, {noise}" for noise in NOISES for recogniser in RECOGNISERS)
RATE, LEVEL, LONGEST, FIRST = 16_000, 0.1, {"banking": 16, "reviews": 12}, 10
REVIEWS = 48


# Texts --------------------------------------------------------------------------------------------

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number(n: int) -> str:
    """Return a number below a million in words.

    >>> number(20_040)
    'twenty thousand forty'
    """
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f" {ONES[n % 10]}" if n % 10 else "")
    size, name = (100, "hundred") if n < 1_000 else (1_000, "thousand")
    return f"{number(n // size)} {name}" + (f" {number(n % size)}" if n % size else "")


def spoken(text: str) -> str:
    """Return the words of `text` as they are spoken, recognised and scored.

    >>> spoken("Hi, I've saved $20,000 - at 1.5%!")
    "hi i've saved twenty thousand dollars at one point five percent"
    """
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"\$([\d,]+)(\.\d+)?", r"\1 dollars", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).replace("%", " percent ")
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    text = re.sub(r"\d+", lambda found: f" {_digits(found[0])} ", text)
    text = re.sub(r"[^a-z' ]", " ", text)
    return " ".join(word for word in (w.strip("'") for w in text.split()) if word)


def _digits(digits: str) -> str:
    return number(int(digits)) if len(digits) < 7 else " ".join(ONES[int(d)] for d in digits)


def short(text: str, longest: int) -> str:
    """Return the first whole sentences of at most `longest` words, or the first `longest` words.

    Greetings go, and what the script tells the customer is put into the first person.
    """
    if text.startswith(("Start by", "You're")):
        text = re.sub(r"^Start by (?:saying|mentioning)|\([^)]*\)", " ", text)
        for told, said in (("you're", "I'm"), ("your", "my"), ("you", "I")):
            text = re.sub(rf"\b{told}\b", said, text, flags=re.I)
    text = re.sub(r"^\s*(?:Hi|Hello|Hey)(?: there)?[,.!]*\s*", "", text)
    kept: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        words = spoken(sentence).split()
        if len(kept) + len(words) > longest:
            if len(kept) < 8:
                kept += words[: longest - len(kept)]
            break
        kept += words
    return " ".join(kept)


@cache
def bank() -> pd.Series:
    """Return the texts of the bank's 698 documents, title first, by `doc_id`."""
    table = ll.load_banking()[0].set_index("doc_id")
    return table.title + "\n" + table.text


@cache
def items(task: str) -> pd.DataFrame:
    """Return what is spoken: `item_id`, `text`, `text_id`, `voice`, and `target`."""
    if task == "banking":
        tasks = ll.load_banking()[1]
        texts = [short(opening, LONGEST[task]) for opening in tasks.opening]
        table = pd.DataFrame({"item_id": tasks.item_id, "text": texts, "group": tasks.family})
        table["target"] = [" ".join(required) for required in tasks.required]
    else:
        table = reviews("test").rename(columns={"cluster": "group"})
        lengths = table.text.map(lambda text: len(spoken(text).split()))
        table = table[lengths.between(6, LONGEST[task]) & ~table.text.str.contains(r"[^ -~]")]
        table = table.groupby("group").sample(1, random_state=0)
        table = table.groupby("target").sample(REVIEWS // 2, random_state=0)
        table = table.assign(text=table.text.map(spoken)).sort_values("item_id")
    table["text_id"] = table.groupby("text").item_id.transform("first")
    place = {text: i for i, text in enumerate(table.text_id.unique())}
    names = list(VOICES)
    table["cluster"] = [names[place[text] % len(names)] for text in table.text_id]
    return table.reset_index(drop=True)


# Sound --------------------------------------------------------------------------------------------


@cache
def _espeak():
    """Return espeak-ng's library and the pieces of sound that it is giving."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate != 22_050:
        raise RuntimeError(f"espeak-ng gives {rate} samples a second, not 22,050")
    pieces: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def keep(samples, n, _):
        if samples and n > 0:
            pieces.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    library.espeak_SetSynthCallback(keep)
    return library, pieces, keep  # the callback must live as long as the library


@cache
def say(text: str, voice: str, speed: int) -> np.ndarray:
    """Return `text` spoken, 16,000 samples a second, with a root mean square of 1.

    espeak-ng gives 22,050 a second; what is above 7 kHz goes before the rate is changed. It does
    not speak a text twice alike: a sample's value hangs on what was spoken before, and in some
    voices on chance. So each text is spoken once in a run, and all recognisers hear that.
    """
    library, pieces, _ = _espeak()
    pieces.clear()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    library.espeak_SetParameter(1, speed, 0)
    letters = text.encode()
    library.espeak_Synth(letters, len(letters) + 1, 0, 0, 0, 1, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate(pieces).astype(float)
    sound = sosfiltfilt(butter(8, 7_000, fs=22_050, output="sos"), sound)
    sound = resample_poly(sound, 320, 441)
    return sound / np.sqrt(np.mean(sound**2))


def sound(text: str, voice: str, noise: str) -> bytes:
    """Return `text` spoken, with faint noise, as 16-bit samples; 0.3 s before and after."""
    speech, band = say(text, *VOICES[voice]), NOISES[noise]
    if band:
        speech = sosfiltfilt(butter(4, band, "bandpass", fs=RATE, output="sos"), speech)
        speech = speech / np.sqrt(np.mean(speech**2))
    speech = np.pad(speech, int(0.3 * RATE))
    rng = np.random.default_rng([len(text), *text.encode()[:8], DECIBELS])
    white = 10 ** (-DECIBELS / 20) * rng.normal(size=len(speech))
    mixed = LEVEL * 32_767 * (speech + white)
    return np.clip(mixed, -32_768, 32_767).astype("<i2").tobytes()


# Recognition --------------------------------------------------------------------------------------


@cache
def dictionary() -> set[str]:
    """Return the words that pocketsphinx can pronounce."""
    path = pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")
    with open(path, encoding="utf-8") as lines:
        return {line.split()[0] for line in lines if "(" not in line.split()[0]}


def arpa(sentences: list[str]) -> str:
    """Return a trigram model of `sentences` in the ARPA format, with Witten and Bell's back-off.

    A history h that was seen n times with t different next words gives n / (n + t) to those by
    their counts, the rest to others as a shorter history has it (1991, method C). Words that the
    dictionary lacks are gaps: no n-gram goes across them.
    """
    counts: list[defaultdict] = [defaultdict(Counter) for _ in range(3)]
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for i, word in enumerate(words):
            for n in range(min(i, 2) + 1):
                gram = words[i - n : i + 1]
                if all(w in dictionary() or w in ("<s>", "</s>") for w in gram) and word != "<s>":
                    counts[n][tuple(gram[:-1])][word] += 1
    probability: dict[tuple, float] = {}
    backoff: dict[tuple, float] = {}
    for n, order in enumerate(counts):
        for history, nexts in order.items():
            total, kinds = nexts.total(), len(nexts)
            whole = total if n == 0 else total + kinds
            for word, count in nexts.items():
                probability[(*history, word)] = count / whole
            if n:
                lower = sum(probability[(*history[1:], word)] for word in nexts)
                backoff[history] = (kinds / whole) / max(1 - lower, 1e-9)
    probability[("<s>",)] = 1e-99
    lines = ["\\data\\"]
    grams = [sorted(gram for gram in probability if len(gram) == n) for n in (1, 2, 3)]
    lines += [f"ngram {n}={len(part)}" for n, part in enumerate(grams, 1)]
    for n, part in enumerate(grams, 1):
        lines.append(f"\n\\{n}-grams:")
        for gram in part:
            tail = f"\t{np.log10(backoff.get(gram, 1)):.4f}" if n < 3 else ""
            lines.append(f"{np.log10(probability[gram]):.4f}\t{' '.join(gram)}{tail}")
    return "\n".join([*lines, "\n\\end\\\n"])


@cache
def own_sentences(task: str) -> list[str]:
    """Return what the task's own language model learns from: none of the texts that are spoken."""
    if task == "banking":
        lines = bank().str.split(r"[.!?:;|]\s|\n", regex=True).explode()
    else:
        lines = reviews("train").text.str.split(r"[.!?:;]\s|\n", regex=True).explode()
    return [line for line in lines.map(spoken) if line]


def decoder(recogniser: str, task: str) -> pocketsphinx.Decoder:
    """Return a new pocketsphinx with one language model; the acoustic model is always the same.

    Means are taken over the whole utterance ("batch"); by default they are carried over from what
    was heard before. Even so what it heard before moves what it hears in noise a little: each
    system hears a task's texts in their order, with a new decoder.
    """
    settings = {"samprate": RATE, "cmn": "batch", "loglevel": "FATAL"}
    settings |= {"fwdflat": False, "maxhmmpf": 5_000}  # one pass, and not too many hypotheses
    if recogniser == "own":
        with TemporaryDirectory() as folder:
            path = Path(folder) / "own.arpa"
            path.write_text(arpa(own_sentences(task)), "utf-8")
            return pocketsphinx.Decoder(**settings, lm=str(path))
    return pocketsphinx.Decoder(**settings)


def recognised(texts: pd.DataFrame, system: str, task: str) -> list[str]:
    """Return the words that are heard of each of `texts`, "" if none."""
    recogniser, noise = system.split(", ")
    machine = decoder(recogniser, task)
    heard = []
    for text, voice in zip(texts.text, texts.cluster, strict=True):
        machine.start_utt()
        machine.process_raw(sound(text, voice, noise), full_utt=True)
        machine.end_utt()
        best = machine.hyp()
        words = best.hypstr.split() if best else []
        words = [re.sub(r"\(\d+\)", "", word) for word in words if word[0] not in "<["]
        heard.append(" ".join(words))
    return heard


# What it costs ------------------------------------------------------------------------------------

# Words of scikit-learn's list of stop words that say something in a bank.
NOT_STOP = {"amount", "bill", "call", "full", "interest", "serious", "system", "top"}
STOP = (ENGLISH_STOP_WORDS - NOT_STOP) | {"did", "does", "hi", "just", "really"}


def is_content(word: str) -> bool:
    """Return whether `word` is a content word; contractions are not."""
    return "'" not in word and word not in STOP


def errors(said: str, heard: str) -> dict[str, int]:
    """Return the words of `said`, how many of them are content words, and the errors in `heard`.

    >>> errors("my gold card is locked", "my cold card this is locked")["content_errors"]
    1
    """
    found = jiwer.process_words(said, heard)
    words = said.split()
    wrong = {
        i
        for chunk in found.alignments[0]
        if chunk.type in ("substitute", "delete")
        for i in range(chunk.ref_start_idx, chunk.ref_end_idx)
    }
    return {
        "words": len(words),
        "substitutions": found.substitutions,
        "deletions": found.deletions,
        "insertions": found.insertions,
        "content": sum(map(is_content, words)),
        "content_errors": sum(is_content(words[i]) for i in wrong),
    }


@cache
def bm25() -> bm25s.BM25:
    """Return BM25 of the bank's documents."""
    tokens = bm25s.tokenize(bank().tolist(), stopwords="en", return_ids=False, show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    return index


def found_by_words(texts: list[str]) -> list[list[str]]:
    """Return the ids of the first 10 documents of each text; none that shares no word with it."""
    split = bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
    names = bank().index
    found = []
    for words in split:
        words = [word for word in words if word in bm25().vocab_dict]
        scores = bm25().get_scores(words) if words else np.zeros(len(names))
        best = np.argsort(-scores, kind="stable")[:FIRST]
        found.append([names[i] for i in best if scores[i] > 0])
    return found


@cache
def vectors() -> np.ndarray:
    """Return MiniLM's vectors of the bank's documents."""
    return ll.embed(encoder(), bank())


@cache
def encoder() -> ll.Encoder:
    return ll.load_encoder()


def found_by_meaning(texts: list[str]) -> list[list[str]]:
    """Return the ids of the first 10 documents of each text by MiniLM; none for no words."""
    best = np.argsort(-(ll.embed(encoder(), texts) @ vectors().T), axis=1)[:, :FIRST]
    names = bank().index
    return [list(names[row]) if text else [] for text, row in zip(texts, best, strict=True)]


def shares(found: list[list[str]], target: pd.Series) -> tuple[list[float], list[float]]:
    """Return the share of each task's required documents that were found, and whether any was."""
    required = [set(ids.split()) for ids in target]
    counts = [len(need & set(ids)) for need, ids in zip(required, found, strict=True)]
    share = [round(n / len(need), 4) for n, need in zip(counts, required, strict=True)]
    return share, [float(n > 0) for n in counts]


@cache
def probe() -> LogisticRegression:
    """Return a logistic regression on MiniLM's vectors of training reviews, as they are spoken."""
    train = reviews("train").sample(2_000, random_state=0)
    model = LogisticRegression(C=10, max_iter=1_000)
    return model.fit(ll.embed(encoder(), train.text.map(spoken)), train.target == "fresh")


def log_odds(texts: list[str]) -> np.ndarray:
    """Return the probe's log-odds of "fresh" to two decimals; its intercept for no words."""
    logits = probe().decision_function(ll.embed(encoder(), texts))
    return np.where([bool(text) for text in texts], logits, probe().intercept_[0]).round(2)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on both tasks."""
    return pd.concat([answers(system, task) for task in TASKS])


def answers(system: str, task: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on a task."""
    recogniser, noise = system.split(", ")
    table = items(task)
    each = table.drop_duplicates("text")
    heard = dict(zip(each.text, recognised(each, system, task), strict=True))
    said, got = table.text.tolist(), [heard[text] for text in table.text]
    counts = pd.DataFrame([errors(*pair) for pair in zip(said, got, strict=True)])
    more: dict = {"recogniser": recogniser, "noise": noise, **counts}
    more |= {name: table[name] for name in ("text_id", "group")}
    if task == "reviews":
        logit, true = log_odds(got), log_odds(said)
        prediction = np.where(logit > 0, "fresh", "rotten")
        sign = np.where(table.target == "fresh", 1, -1)
        more |= {"logit": logit, "true_logit": true, "true_score": 1.0 * (sign * true > 0)}
        more["loglik"] = np.round(-np.logaddexp(0, -sign * logit), 2)
        score: list | np.ndarray = prediction == table.target.to_numpy()
    else:
        found = found_by_words(got)
        prediction = np.array([" ".join(ids) for ids in found])
        score, more["any"] = shares(found, table.target)
        more["true_score"], more["true_any"] = shares(found_by_words(said), table.target)
        more["minilm"], more["minilm_any"] = shares(found_by_meaning(got), table.target)
        true = shares(found_by_meaning(said), table.target)
        more["true_minilm"], more["true_minilm_any"] = true
        more |= {"said": said, "heard": got}
    return ll.make_records(system, task, table, prediction=prediction, score=score, **more)
