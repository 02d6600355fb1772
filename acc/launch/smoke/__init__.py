"""`acc run RECIPE --smoke`: try a machine before a run holds it: five steps on the longest rows, and a table of what passed.

On one node, with the processes of the recipe: load, packed documents that do not meet, training as asked, the loss of one
process, tokens/s, peak memory against the plan, save, resume, one evaluation. Everything is written to runs/<name>-smoke.
"""

from acc.launch.smoke.run import smoke

__all__ = ["smoke"]
