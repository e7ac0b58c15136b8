"""The names that users write to record by hand; thin, they fill Operations."""
