"""``python -m genai_otel``: the command line, where the ``genai-otel`` script is not on the path."""

import sys

from genai_otel.cli import main

if __name__ == "__main__":
    sys.exit(main())
