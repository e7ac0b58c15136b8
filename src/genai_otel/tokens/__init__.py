"""Token counts if the provider reports none: tokenizers and estimates."""
