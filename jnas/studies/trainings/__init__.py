"""Studies of searchers whose evaluations are real trainings."""
