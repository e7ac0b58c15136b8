"""What text may leave: what is looked for, what takes its place, how much of it is kept."""
