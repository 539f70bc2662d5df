"""Studies of predictors: how well they predict from so many cells."""
