"""The command line: thin readings of the public verbs."""
