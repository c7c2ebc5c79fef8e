"""Laws of (w, b) of several inputs: sampled, and known by moments; nothing here has breakpoints."""
