"""Commands about networks away from the lazy limit, one for each of the predictors in `splinebias.regimes`."""
