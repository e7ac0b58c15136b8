"""Programs which must not notice that they are instrumented.

`python -m tests.differential URL` runs all of them in one process and prints what each one saw as
JSON; with `--instrumented` it does so under `genai_otel.instrument()`. `test_differential.py` runs
both and compares. A program is a plain or an async function of a `World`; what it returns, raises,
prints, warns and logs is what it saw. Programs are told apart at the server by their API key.
"""
