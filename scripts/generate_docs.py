"""Write the parts of README and docs that are tables of the code.

python scripts/generate_docs.py            write them
python scripts/generate_docs.py --check    exit 1 if a page is not what would be written
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from genai_otel._settings import Settings
from genai_otel.adapters.catalogue import CATALOGUE
from genai_otel.export.backends.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from genai_otel.export.backends.presets import Option

ROOT = Path(__file__).resolve().parent.parent


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def libraries() -> str:
    rows = (
        (f"[{entry.name}]({entry.docs})", f"`{entry.distribution}{entry.versions}`", entry.kind)
        for entry in CATALOGUE
    )
    return table(("library", "distribution and versions", "kind"), rows)


def settings() -> str:
    return table(("field", "variable", "default", "what it does"), _settings_rows())


def presets() -> str:
    """The backends that are sent to: every row with a route."""
    rows = (
        (
            f"`{row.name}`",
            row.title,
            ", ".join(row.signals),
            " ".join(_option(each) for each in row.options),
            row.note,
        )
        for row in PRESETS.values()
        if row.routes
    )
    return table(("name", "backend", "signals", "options, and where they come from", "note"), rows)


def _option(option: Option) -> str:
    """In bold what must be said somewhere."""
    name = f"**`{option.name}`**" if option.required else f"`{option.name}`"
    known = [f"`{variable}`" for variable in option.variables]
    if option.default:
        known.append(f"else `{option.default}`")
    return f"{name} ({', '.join(known)});" if known else f"{name};"


def _settings_rows() -> Iterator[tuple[str, str, str, str]]:
    for each in fields(Settings):
        variables = each.metadata["variable"].split(" or ")
        default = "" if each.default in (MISSING, None, ()) else f"`{_shown(each.default)}`"
        yield (
            f"`{each.name}`",
            ", ".join(f"`{variable}`" for variable in variables),
            default,
            each.metadata["sentence"],
        )


def _shown(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


# Each page, and what stands between <!-- NAME --> and <!-- /NAME --> in it.
def conformance() -> str:
    """Made by the tests, which hold the table; their types are no business of the checks here."""
    sys.path.insert(0, str(ROOT))
    report = import_module("tests.conformance.report")
    told: str = report.matrix(report.PAGE.read_text(encoding="utf-8"))
    return told


def wire_types() -> str:
    """Declared by the tests as well."""
    sys.path.insert(0, str(ROOT))
    told: str = import_module("tests.wire_types").page()
    return told


PAGES = {
    "README.md": {"libraries": libraries},
    "docs/configuration.md": {"settings": settings},
    "docs/destinations.md": {"presets": presets},
    "docs/conformance.md": {"conformance": conformance},
    "docs/content-types.md": {"types": wire_types},
}


def renewed(page: str, text: str) -> str:
    for name, write in PAGES[page].items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not begin or not end:
            sys.exit(f"{page}: nothing stands between <!-- {name} --> and <!-- /{name} -->")
        text = f"{before}{begin}{write()}\n{end}{after}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only tell whether they are current")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = renewed(page, before)
        if before != after:
            stale.append(page)
            if not check:
                path.write_text(after, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}; run {Path(__file__).name}", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
