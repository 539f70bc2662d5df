"""What was published of recurrent cells as numbers."""

ORDER_OF_32 = (
    *(2, 16, 12, 15, 6, 20, 26, 30, 23, 19, 8, 25, 1, 13, 11, 5),
    *(21, 29, 14, 22, 0, 17, 10, 18, 3, 24, 28, 9, 4, 7, 27, 31),
)
"""The cells of two nodes, by index, from the best on Penn Treebank to the worst, each trained ten times.

From the released code of "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020
(`visualization/best_configs.py`), without the perplexities.
"""
