"""Published figures, redone: `python -m experiments`, one module per figure."""
