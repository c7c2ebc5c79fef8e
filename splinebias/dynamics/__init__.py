"""How a finite network moves: a method (descent, flow) takes a start, a loss and a mirror map, and returns a `Run`."""
