"""Training at infinite width on the way to the limit: linear flows in decay modes, scaled ones by implicit steps."""
