"""Token counts where the provider gave none: tokenizers and estimates."""
