"""The words of a report in one sentence each, for its readers and for ``--help``."""

TERMS = {
    "mean": "the mean score of the items that all systems of the task have answered",
    "interval": "a range computed from the data by a rule that, over many samples, contains the "
    "true value as often as it promises",
    "clusters": "items that belong together, such as reviews of one film; they are not "
    "independent, so they carry less information than their number suggests",
    "difference": "the mean of the differences item by item; all systems answered the same items, "
    "so the noise that they share drops out, and the interval is mostly narrower than those of "
    "the means suggest",
    "p": "how often so large a difference, or a larger one, would turn up if there were none",
    "adjusted": "p corrected for the number of comparisons; with many tests, some succeed by "
    "chance alone",
    "detectable": "the true difference that a test on these items finds with 80% probability; to "
    "find a smaller one takes more items",
    "points": "hundredths of a score from 0 to 1",
}

# The corrections of `compare_all` in words.
CORRECTIONS = {
    "holm": "Holm's correction",
    "bonferroni": "Bonferroni's correction",
    "fdr_bh": "Benjamini and Hochberg's correction",
    "none": "no correction",
}
