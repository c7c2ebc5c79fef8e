"""Densities of laws of one variable: their formulas, their singularities, and what stands for those that are too slow."""
