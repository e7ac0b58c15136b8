"""One file a peer. Nothing here imports its peer at module level: the runner reads PEER."""
