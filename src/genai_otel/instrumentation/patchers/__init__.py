"""One module for each kind of choke point that libraries share."""
