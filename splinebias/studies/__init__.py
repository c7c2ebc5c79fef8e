"""What `study` is made of: what to run, where it is run, what is kept, and what it says."""
