"""The book's data sets, one a module, each as a tidy DataFrame with documented columns.

Every loader fetches one wheel of the catalogue, checks the counts that its docstring states, and
names the cluster: the unit whose items are not independent of each other.
"""
