"""AlpacaEval: leaderboards of systems, and of the judges that rank them."""

import io

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_alpaca_eval() -> pd.DataFrame:
    """Return AlpacaEval 2's leaderboard: 223 systems on 805 instructions.

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
    board = _csv("/data_AlpacaEval_2/")
    board = board.rename(columns={"length_controlled_winrate": "lc_win_rate"})
    return counted(board.rename_axis("system").reset_index(), 223, "AlpacaEval systems")


def load_alpaca_judges() -> pd.DataFrame:
    """Return AlpacaEval's leaderboard of 32 judges, people among them.

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
    ``human_agreement``, 0.34, cannot be a percentage: a coin would reach 50).

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
    board = _csv("/evaluators/").rename(columns=names)
    return counted(board.rename_axis("judge").reset_index(), 32, "AlpacaEval judges")


def _csv(part: str) -> pd.DataFrame:
    (packed,) = read_members("alpaca-eval", part).values()
    return pd.read_csv(io.BytesIO(packed), index_col=0)
