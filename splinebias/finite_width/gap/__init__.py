"""Why one trained network is not its infinite-width limit; what networks of a width do on average is one folder up."""
