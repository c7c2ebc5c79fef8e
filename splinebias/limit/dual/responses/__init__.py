"""How much units at a breakpoint bend for a dual value: sums over their sizes |w|, by nodes or as one function."""
