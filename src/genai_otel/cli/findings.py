"""The checks of ``doctor``: installation and environment. Nothing is instrumented."""

from __future__ import annotations

import base64
import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import genai_otel

from .text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from genai_otel._settings import Settings
    from genai_otel.instrumentation.entry_points import PublishedAdapter

_OURS = "genai-otel"
_SHOWN = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp", "wrapt")
_SWITCHES = ("GENAI_OTEL_DISABLED", "OTEL_SDK_DISABLED")
_CONTENT = ("GENAI_OTEL_CONTENT", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_HEADERS = (
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
)
_NO_LIBRARY = (
    "no supported library is installed for this Python: if your program uses one, run"
    " `python -m genai_otel doctor` with the Python of that program"
)
_REINSTALL = "pip uninstall genai-otel-instrument && pip install --force-reinstall genai-otel"


class Line(NamedTuple):
    """A line of the report; ``mark`` is ``ok``, ``note`` or ``problem``."""

    mark: str
    text: str


def versions() -> Iterator[Line]:
    yield Line("ok", f"{_OURS} {genai_otel.__version__}, in {_package_directory()}")
    yield Line("ok", f"Python {platform.python_version()}, {sys.executable}")
    for name in _SHOWN:
        version = _version(name)
        if version is None:
            yield Line("problem", f"{name} is not installed: pip install {name}")
        else:
            yield Line("ok", f"{name} {version}")


def settings() -> tuple[Settings, list[Line]]:
    """The settings of the environment without the invalid ones, and a problem for each of those."""
    from genai_otel._settings import Settings, environment

    left, refused = dict(environment()), list[Line]()
    while True:
        try:
            return Settings.from_environment(left), refused
        except ValueError as error:
            refused.append(Line("problem", str(error)))
            if left.pop(str(error).partition(":")[0], None) is None:
                return Settings(), refused


def variables(environ: Mapping[str, str]) -> Iterator[Line]:
    from genai_otel._sdk.environment import mistakes

    return (Line("problem", text) for text in mistakes(environ))


def libraries(settings: Settings) -> Iterator[Line]:
    from genai_otel.adapters import catalogue
    from genai_otel.instrumentation.entry_points import PublishedAdapter, discover
    from genai_otel.instrumentation.installer import Installation

    others = discover(catalogue.NAMES)
    accepted = (*catalogue.NAMES, *others, "auto")
    for setting in ("libraries", "exclude"):
        yield from _unknown("library", setting, settings, accepted)
    found, absent = bool(others), list[str]()
    for entry in catalogue.CATALOGUE:
        installation = Installation(catalogue.load(entry.name))
        is_supported = installation.is_supported()
        head = f"{entry.name}: {entry.distribution}"
        if installation.version is None:
            if entry.name in settings.libraries:
                yield Line("note", f"{head} is not installed (supported: {entry.versions})")
            absent.append(entry.name)
            continue
        found = True
        head += f" {installation.version} (supported: {entry.versions})"
        if not wanted(entry.name, settings):
            yield Line("note", f"{head}, excluded by the settings")
        elif is_supported:
            yield Line("ok", f"{head}, instrumented{_parenthesized(installation.note)}")
        else:
            yield Line("problem", f"{head}, skipped{_parenthesized(installation.note)}")
    for name, (point, refused) in others.items():
        yield _published(PublishedAdapter(point, refused), wanted(name, settings))
    if not found:
        yield Line("note", _NO_LIBRARY)
    elif absent:
        yield Line("note", f"not installed: {', '.join(absent)}")


def wanted(name: str, settings: Settings) -> bool:
    return name not in settings.exclude and bool({"auto", name} & {*settings.libraries})


def _published(installation: PublishedAdapter, wanted: bool) -> Line:  # noqa: FBT001 - one of a pair
    """Load an adapter of another distribution, and report whether it can be used."""
    head = f"{installation.name}: adapter of {installation.publisher}"
    if not wanted:
        return Line("note", f"{head}, excluded by the settings")
    wrong = installation.check()
    if wrong:
        return Line("problem", f"{head}, skipped ({wrong})")
    if not installation.is_supported():
        return Line("note", f"{head}, not used{_parenthesized(installation.note)}")
    library = f"{installation.adapter.distribution} {installation.version}"
    return Line("ok", f"{head} for {library}, instrumented{_parenthesized(installation.note)}")


def _parenthesized(note: str) -> str:
    return f" ({note})" if note else ""


def _unknown(
    what: str, setting: str, settings: Settings, accepted: Iterable[str]
) -> Iterator[Line]:
    from genai_otel._settings import naming_the_variable, one_of

    names: tuple[str, ...] = getattr(settings, setting)
    for name in names:
        try:
            with naming_the_variable(setting, names):
                one_of(what, name, accepted)
        except ValueError as error:
            yield Line("problem", str(error))


def destinations(settings: Settings, environ: Mapping[str, str]) -> Iterator[Line]:
    from genai_otel._support.notices import NOTICES
    from genai_otel.export.backends.presets import PRESETS
    from genai_otel.export.otel_environment import defaults

    NOTICES.clear()
    NOTICES.logged = False  # they are printed here
    yield from _unknown("destination", "destinations", settings, PRESETS)
    default = [each.preset for each in defaults(otlp=settings.otlp_in_environment)]
    if not settings.destinations and not default:
        yield Line("note", "no destination: the OTEL_*_EXPORTER variables are none")
    for name in settings.destinations or default:
        if name == "local":
            yield _store(Path(settings.store_directory).expanduser().absolute())
        elif name == "otlp":
            yield from _otlp_signals()
        elif name in PRESETS:
            yield _backend(name)
    if settings.otlp_in_environment or "otlp" in settings.destinations:
        yield from _otlp(environ)
    NOTICES.logged = True
    for text in NOTICES.texts:
        yield Line("note", text)
    yield Line("note", "if the program has its own TracerProvider, that one exports the spans")


def _backend(name: str) -> Line:
    from genai_otel.export.backends.presets import PRESETS
    from genai_otel.export.backends.resolve import otlp_config
    from genai_otel.export.destination import Destination

    if not PRESETS[name].routes:
        return Line("ok", name)
    try:
        return Line("ok", f"{name}: {otlp_config(Destination(name)).shown_endpoint}")
    except ValueError as error:  # its message says what is missing, and how to set it
        return Line("problem", str(error))


def _store(directory: Path) -> Line:
    where = f"local store {directory}"
    if directory.is_symlink():
        return Line("problem", f"{where} is a symbolic link; symbolic links are not followed")
    if directory.exists() and not directory.is_dir():
        return Line("problem", f"{where} is not a directory")
    nearest = next(place for place in (directory, *directory.parents) if place.exists())
    error = _write_error(nearest)
    if error:
        return Line("problem", f"{where} is not writable: {error}")
    if not directory.exists():
        return Line("ok", f"{where} (created when the first span ends)")
    sizes = [file.stat().st_size for file in directory.glob("*.jsonl")]
    return Line("ok", f"{where} ({counted(len(sizes), 'file')}, {sum(sizes) / 1e6:,.1f} MB)")


def _write_error(place: Path) -> str:
    """Try to write, because mode bits do not apply to root or in /proc; "" if it succeeds."""
    try:
        with TemporaryDirectory(prefix=".genai_otel-", dir=place):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _otlp_signals() -> Iterator[Line]:
    """Endpoint, signals and protocol of the environment's OTLP destinations."""
    from genai_otel.export.backends.resolve import otlp_config
    from genai_otel.export.otel_environment import split_by_transport

    for part in split_by_transport("otlp"):
        to = otlp_config(part)
        yield Line("ok", f"otlp: {to.shown_endpoint}, {', '.join(to.endpoints)} as {to.protocol}")


def _otlp(environ: Mapping[str, str]) -> Iterator[Line]:
    set_here = [variable for variable in _ENDPOINTS if environ.get(variable)]
    for variable in set_here:
        yield _endpoint(variable, environ[variable])
    if not set_here:
        yield Line("note", "no OTLP endpoint is set: the default is http://localhost:4318")
    for variable in _HEADERS:
        if environ.get(variable):
            yield Line("ok", f"{variable} is set (not shown)")


def _endpoint(variable: str, endpoint: str) -> Line:
    """Without user, password and query, which may hold keys."""
    try:
        url = urlsplit(endpoint)
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return Line("problem", f"{variable} is not a valid URL")
    if url.scheme not in ("http", "https") or not url.hostname:
        return Line("problem", f"{variable} is not an http or https URL")
    if url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        return Line("note", f"{variable}: http://{url.hostname}{port}{url.path}, not encrypted")
    return Line("ok", f"{variable}: {url.scheme}://{url.hostname}{port}{url.path}")


def content(settings: Settings, environ: Mapping[str, str]) -> Iterator[Line]:
    variable = next((name for name in _CONTENT if environ.get(name, "").strip()), None)
    refused = variable == _CONTENT[0] and settings.content != environ[variable].strip()
    if refused:
        yield Line("note", f"unknown: the value of {variable} is not accepted")
    elif settings.content is None:
        yield Line(
            "ok",
            "redacted for all destinations (default): prompts and responses are recorded, secrets"
            " and personal data in them are masked",
        )
    else:
        yield Line("ok", f"{settings.content} for all destinations (set by {variable})")


def prices(settings: Settings) -> Iterator[Line]:
    """The prices that a program would use; the price table is loaded."""
    from genai_otel._settings import naming_the_variable
    from genai_otel.pricing.book import PriceBook

    if settings.prices == "off":
        yield Line("note", "pricing is off (set by GENAI_OTEL_PRICES)")
        return
    try:
        with naming_the_variable("prices", settings.prices):
            book = PriceBook(settings.prices or ())
    except ValueError as error:
        yield Line("problem", str(error))
        return
    book.load()
    yield Line("problem", book.problem) if book.problem else Line("ok", book.version)


def switches(settings: Settings, environ: Mapping[str, str]) -> Iterator[Line]:
    if settings.disabled:
        which = [name for name in _SWITCHES if environ.get(name, "").strip()]
        yield Line("problem", f"nothing is recorded: {' and '.join(which)} is set")


def foreign_files() -> Iterator[Line]:
    """Detect another distribution with the same import name, and files that it replaced."""
    for name in sorted(_owners() - {_OURS}):
        yield Line(
            "problem", f"{name} is also installed and has the same import name: {_REINSTALL}"
        )
    changed = list(_changed_files())
    if changed:
        some = ", ".join(changed[:3])
        yield Line(
            "problem",
            f"modified: {counted(len(changed), 'file')} of {_OURS} ({some}): {_REINSTALL}",
        )
    strange = list(_strange_files())
    if strange:
        some = ", ".join(strange[:3])
        yield Line(
            "problem",
            f"not part of {_OURS}: {counted(len(strange), 'file')} ({some}): {_REINSTALL}",
        )


def _owners() -> set[str]:
    owners = metadata.packages_distributions().get("genai_otel", [])
    return {name.lower().replace("_", "-") for name in owners}


def _recorded() -> list[metadata.PackagePath]:
    """Our installed files; empty for a development installation, whose files are elsewhere."""
    try:
        files = metadata.files(_OURS) or []
    except metadata.PackageNotFoundError:
        return []
    return [file for file in files if file.parts[0] == "genai_otel" and file.suffix == ".py"]


def _changed_files() -> Iterator[str]:
    for file in _recorded():
        try:
            actual = Path(str(file.locate())).read_bytes()
        except OSError:
            yield f"{file} is missing"
            continue
        if file.hash is not None and file.hash.value != _digest(actual, file.hash.mode):
            yield str(file)


def _digest(data: bytes, algorithm: str) -> str:
    digest = hashlib.new(algorithm, data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _strange_files() -> Iterator[str]:
    known = {Path(str(file.locate())).resolve() for file in _recorded()}
    if not known:
        return
    for file in sorted(_package_directory().rglob("*.py")):
        if file.resolve() not in known:
            yield str(file.relative_to(_package_directory().parent))


def _package_directory() -> Path:
    return Path(genai_otel.__file__).parent


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
