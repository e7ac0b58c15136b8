"""A patched call becomes an Operation."""
