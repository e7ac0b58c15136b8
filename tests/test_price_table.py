"""The price table, read without its library: the same prices, and nothing that a host could see."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, time, timedelta
from functools import partial
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

import genai_otel
from genai_otel import Settings
from genai_otel._support.background import finish
from genai_otel.pricing import bundled, table_source
from genai_otel.pricing import table as pricetable
from genai_otel.pricing.book import PriceBook
from genai_otel.pricing.bundled import Bundled, BundledModel, _as_rates
from genai_otel.pricing.matching import names
from genai_otel.record import Usage
from genai_otel.recorder import Costs
from tests.stored import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.pricing.rates import Rates
    from genai_otel.pricing.table import Price, Prices

_DATA = "genai_prices.data"
SECOND = timedelta(seconds=1)
HOURS = (time(0, 29, 59), time(0, 30), time(4), time(10), time(16, 29, 59), time(16, 30))


@pytest.fixture(scope="module")
def table() -> dict[str, pricetable.Provider]:
    return pricetable.read()


# --------------------------------------------------------------------- what the library itself says


def test_every_model_has_the_librarys_prices_at_all_times_and_for_all_kinds_of_request(
    table: dict[str, pricetable.Provider],
) -> None:
    from genai_prices.data import providers

    compared = 0
    assert list(table) == [provider.id for provider in providers]
    for provider in providers:
        for theirs, ours in zip(provider.models, table[provider.id].models, strict=True):
            assert theirs.id == ours.id
            model = BundledModel(provider.id, ours, own=True)
            for kind in _kinds(theirs):
                schedule = model.schedule(kind, batch=False)
                for at in _moments(theirs):
                    rates = schedule and schedule.at(at.timestamp())
                    assert rates == _wanted(provider.id, theirs, kind, at), (ours.id, kind, at)
                    compared += 1
    assert compared > 2 * sum(len(provider.models) for provider in providers)


def _kinds(model: Any) -> set[str | None]:
    """The tiers that it has prices for; those that the table says by other words have none here."""
    found = (variant.when for variant in _variants(model))
    known = ("processing", "service_tier", "speed")
    words = {value for when in found for key, value in when.items() if key in known}
    return {None, "default", "nonsense", *words}


def _variants(model: Any) -> Any:
    return getattr(model, "price_variants", None) or ()  # since 0.2


def _moments(model: Any) -> Iterator[datetime]:
    """Just before and after each change of its prices, and at times of a day."""
    rows = [
        *(model.prices if isinstance(model.prices, list) else ()),
        *_variants(model),
    ]
    times = [row.constraint for row in rows if row.constraint is not None]
    for day in {getattr(each, "start_date", None) for each in times} - {None}:
        change = datetime.combine(day, time(), UTC)
        yield from (change - SECOND, change)
    daily = any(hasattr(each, "start_time") for each in times)
    for clock in HOURS if daily else (time(12),):
        yield datetime.combine(datetime(2026, 11, 20, tzinfo=UTC), clock, UTC)


def _wanted(biller: str, model: Any, kind: str | None, at: datetime) -> Rates | None:
    """The library's prices, but for those that it gives in want of any."""
    context = _context(model, None if kind == "default" else kind)
    rows = model.prices if isinstance(model.prices, list) else [model]
    if not any(_holds(row, at) for row in rows):
        return None
    if kind not in {None, "default"}:
        variants = [v for v in _variants(model) if v.when == context]
        if not any(_holds(variant, at) for variant in variants):
            return None
    found: dict[str, Price] = {
        key: _plain(price)
        for key, price in vars(model.get_prices(at, *([context] if context else []))).items()
        if price is not None
    }
    rates = _as_rates(
        found,
        10.0 if biller == "groq" else 0.0,
        audio_as_text=biller == "google",
        searches_per_call=model.id.startswith(("gemini-1.", "gemini-2.")),
    )
    return None if rates.empty else rates


def _context(model: Any, kind: str | None) -> dict[str, str]:
    for variant in _variants(model):
        if kind in variant.when.values():
            return dict(variant.when)
    return {"service_tier": kind} if kind else {}


def _holds(row: Any, at: datetime) -> bool:
    constraint = getattr(row, "constraint", None)
    return constraint is None or constraint.active(at)


def _plain(price: Any) -> Price:
    if hasattr(price, "tiers"):
        tiers = tuple((tier.start, float(tier.price)) for tier in reversed(price.tiers))
        return float(price.base), tiers
    return float(price)


def test_every_full_name_is_the_librarys_model(table: dict[str, pricetable.Provider]) -> None:
    from genai_prices.data import providers

    book, compared = Bundled(), 0
    for provider in providers:
        for ref in table[provider.id].exact:
            found = book.find(provider.id, ref, mapped=True)
            theirs = provider.find_model(ref, all_providers=providers)
            assert theirs is not None
            assert found is not None
            assert found.id == f"{provider.id}/{theirs.id}"
            compared += 1
    assert compared > sum(len(provider.models) for provider in providers)


def test_hosts_are_those_of_the_library(table: dict[str, pricetable.Provider]) -> None:
    from genai_prices.data import providers

    for provider in providers:
        assert table[provider.id].hosts.pattern == provider.api_pattern
        assert table[provider.id].lenders == tuple(provider.fallback_model_providers or ())


def test_what_is_held_is_small_and_said_once(table: dict[str, pricetable.Provider]) -> None:
    models = [model for provider in table.values() for model in provider.models]
    sets = [prices for model in models for _, prices in model.prices]

    assert len({id(each) for each in sets}) == len(set(sets)) < len(sets)
    assert not any(hasattr(model, "__dict__") for model in models)


# ---------------------------------------------------------------------------- shapes to come


def _read(body: str, monkeypatch: pytest.MonkeyPatch, path: Path) -> dict[str, pricetable.Provider]:
    """A table with one provider and this text for its models."""
    imports = "import datetime\nfrom decimal import Decimal\nfrom .types import *\n"
    return _read_module(
        f"{imports}providers: list[Provider] = [Provider(id='p', api_pattern='https://p', "
        f"models=[{body}])]",
        monkeypatch,
        path,
    )


def _read_module(
    text: str, monkeypatch: pytest.MonkeyPatch, path: Path
) -> dict[str, pricetable.Provider]:
    file = path / "data.py"
    file.write_text(text)
    spec = spec_from_file_location(_DATA, file)
    assert spec is not None
    monkeypatch.setattr(table_source, "_found", lambda: (spec, spec.loader))
    return pricetable.read()


def _model(prices: str, match: str = "ClauseEquals(equals='M')", more: str = "") -> str:
    return f"ModelInfo(id='m', match={match}, prices={prices}{more})"


def _stepped(tiers: str) -> str:
    return f"ModelPrice(input_mtok=TieredPrices(base=Decimal('1'), tiers=[{tiers}]))"


HOUR_EAST = "datetime.timezone(datetime.timedelta(hours=1))"
DAILY = (
    "TimeOfDateConstraint(start_time=datetime.time(1), "
    f"end_time=datetime.time(3, tzinfo={HOUR_EAST}))"
)
ONE = "ModelPrice(input_mtok=Decimal('1'))"
INPUT: Prices = (("input_mtok", 1.0),)


@pytest.mark.parametrize(
    ("prices", "kept"),
    [
        (ONE, ((None, INPUT),)),
        ("ModelPrice(input_mtok=1, output_mtok=None, later_mtok=Decimal('7'))", ((None, INPUT),)),
        (f"[ConditionalPrice(prices={ONE})]", ((None, INPUT),)),
        (
            f"[ConditionalPrice(constraint={DAILY}, prices={ONE})]",
            (((3600.0, 7200.0), INPUT),),
        ),
        (
            _stepped("Tier(start=5, price=Decimal('2')), Tier(start=9, price=Decimal('3'))"),
            ((None, (("input_mtok", (1.0, ((9, 3.0), (5, 2.0)))),)),),
        ),
        # What it means is not known, so nothing is priced by it.
        ("ModelPrice(input_mtok=Decimal('NaN'))", ()),
        ("ModelPrice(input_mtok=Decimal('-1'))", ()),
        ("ModelPrice(input_mtok=Decimal('one'))", ()),
        ("ModelPrice(input_mtok=Auction(base=Decimal('1')))", ()),
        ("ModelPrice(input_mtok=TieredPrices(base=Decimal('1'), tiers=[], by='output'))", ()),
        ("ModelPrice(requests_kcount=TieredPrices(base=Decimal('1'), tiers=[]))", ()),
        (_stepped("Tier(start='5', price=Decimal('2'))"), ()),
        (_stepped("Tier(start=5, price=Decimal('2')), Tier(start=9)"), ()),
        (f"[ConditionalPrice(constraint=MoonConstraint(phase=3), prices={ONE})]", ()),
        (f"[ConditionalPrice(prices={ONE}), ConditionalPrice(region='eu', prices={ONE})]", ()),
        ("PriceList('whatever')", ()),
    ],
)
def test_prices_are_read_or_unknown(
    prices: str,
    kept: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    read = _read(_model(prices), monkeypatch, tmp_path)

    assert read["p"].exact["m"].prices == kept


@pytest.mark.parametrize(
    "variants",
    [
        f"[PriceVariant(when={{}}, prices={ONE})]",
        f"[PriceVariant(when={{'processing': 'batch'}}, prices={ONE}), NewVariant()]",
        f"[PriceVariant(when={{'processing': 'batch'}}, prices={ONE}, above=5)]",
    ],
)
def test_variants_that_cannot_be_read_leave_the_standard_price(
    variants: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = _read(_model(ONE, more=f", price_variants={variants}"), monkeypatch, tmp_path)
    model = BundledModel("p", read["p"].exact["m"], own=True)

    assert model.schedule("batch", batch=False) is None
    standard = model.schedule(None, batch=False)
    assert standard is not None
    assert standard.at(0.0) is not None


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ("ClauseOr(or_=[ClauseLike(like='m'), ClauseStartsWith(starts_with='M')])", True),
        ("ClauseAnd(and_=[ClauseLike(like='m'), ClauseStartsWith(starts_with='m')])", False),
        ("ClauseOr(or_=[ClauseRegex(regex='^m('), ClauseEndsWith(ends_with='m')])", True),
        ("ClauseStartsWith(starts_with='m', but_not='m-')", False),
        ("ClauseLike(like='m')", False),
    ],
)
def test_rules_are_read_or_name_nothing(
    match: str, found: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    provider = _read(_model(ONE, match), monkeypatch, tmp_path)["p"]

    assert provider.exact == {}
    assert any(names(clause, "m", "p") for clause, _ in provider.rules) is found
    assert [model.id for model in provider.models] == ["m"]


def test_rules_within_rules() -> None:
    either = ("or_", (("equals", "a-1"), ("starts_with", "b-1")))
    but_not = ("and_", (either, ("regex", re.compile("^(?!.*-tts)"))))
    found = {
        ref: names(but_not, ref, "openai") for ref in ("a-1", "b-1-latest", "b-1-x", "a-1-tts")
    }
    assert found == {"a-1": True, "b-1-latest": True, "b-1-x": False, "a-1-tts": False}


def test_fields_and_imports_to_come_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    head = (
        "from __future__ import annotations\nimport json.decoder\nfrom datetime import date\n"
        "from genai_prices.units import Registry, tokens as _tokens\nfrom .types import *\n"
        "from decimal import Decimal\nregistry = Registry(tokens=_tokens)\n"
    )
    model = f"ModelInfo(id='m', match=ClauseEquals(equals='m'), prices={ONE}, color=Red('#f00'))"
    provider = f"Provider(id='p', api_pattern='https://p', owner=Who('me'), models=[{model}])"
    read = _read_module(f"{head}providers = [{provider}, Later()]", monkeypatch, tmp_path)

    assert list(read) == ["p"]
    assert read["p"].exact["m"].prices == ((None, INPUT),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "providers = None",
        "providers = []",
        "providers = Catalogue([1, 2])",
        "providers = [Provider(id='p', api_pattern='https://p')]",
        "providers = [Provider(name='p')]",
        "providers = [",
        "raise KeyError('no')",
        "from .types import *\nproviders = [ModelInfo(id='m')]",
    ],
)
def test_a_table_of_another_shape_is_said_once_and_prices_nothing(
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises((ValueError, TypeError, SyntaxError, KeyError)):
        _read_module(text, monkeypatch, tmp_path)
    monkeypatch.setattr(bundled, "_table", pricetable.read)
    book = PriceBook({"models": {"mine": {"input": 1, "output": 1}}})
    book.load()
    book.load()

    assert book.problem is not None
    assert caplog.text.count("genai-prices cannot be used") == 1
    usage = Usage()
    usage.input = usage.output = 1
    found = [
        book.price(usage, provider="openai", model=model, at=0.0).status
        for model in ("mine", "gpt-4o")
    ]
    assert found == ["priced", "unknown_model"]
    assert Costs(book).prices == f"{book.version}; {book.problem}"


def test_status_says_by_which_prices(tmp_path: Path) -> None:
    def said() -> str:
        return genai_otel.status().prices

    instrument = partial(genai_otel.instrument, settings=Settings(store_directory=str(tmp_path)))
    assert said() == "off"
    bundled._table.cache_clear()  # as in a process that has not read it yet
    instrument()
    assert said() == "not loaded"
    with genai_otel.operation("chat") as op:
        op.provider, op.model = "openai", "gpt-4o"
    finish()
    assert said().startswith("genai-prices/")
    genai_otel.shutdown()
    instrument(prices="off")
    assert said() == "off"
    genai_otel.shutdown()


# ----------------------------------------------------------------------------- the host's library

_PRICED = """
import sys
from genai_otel.pricing.book import PriceBook
from genai_otel.record import Usage
from genai_otel.recorder import Costs
def priced():
    book, usage = PriceBook(), Usage()
    usage.input = usage.output = 1000
    book.load()
    assert book.problem is None, book.problem
    return book.price(usage, provider="openai", model="gpt-4o", at=1.79e9).amount
def theirs():
    import genai_prices
    usage = genai_prices.Usage(input_tokens=1000, output_tokens=1000)
    return float(genai_prices.calc_price(usage, "gpt-4o", provider_id="openai").total_price)
"""


def _say(code: str, cwd: Path, **env: str) -> str:
    return run_python("-c", _PRICED + code, cwd=cwd, env=env).stdout.strip()


def test_neither_the_library_nor_a_client_of_http_is_imported(tmp_path: Path) -> None:
    code = """
before = set(sys.modules)
priced()
print(sorted(n for n in set(sys.modules) - before if n.split(".")[0] in
    ("genai_prices", "httpx2", "pydantic", "decimal", "tomllib")))
"""
    assert _say(code, tmp_path) == "[]"


@pytest.mark.parametrize("order", ["priced(); theirs()", "theirs(); priced()"])
def test_the_hosts_own_import_is_what_it_would_have_been(order: str, tmp_path: Path) -> None:
    code = f"""
{order}
import genai_prices.data, genai_prices.types, genai_prices.update_prices
assert priced() == theirs() == 0.0125
assert type(genai_prices.data.providers[0]) is genai_prices.types.Provider
assert genai_prices.data is sys.modules["genai_prices.data"]
assert isinstance(genai_prices.UpdatePrices, type)
assert genai_prices.update_prices.UpdatePrices is genai_prices.UpdatePrices
assert genai_prices.data.__builtins__ is genai_prices.types.__builtins__
print("as ever")
"""
    assert _say(code, tmp_path) == "as ever"


def test_both_may_load_at_the_same_time(tmp_path: Path) -> None:
    code = """
import threading
together, found = threading.Barrier(4), []
def run(ask):
    together.wait()
    found.append(ask())
threads = [threading.Thread(target=run, args=(ask,)) for ask in (priced, theirs, priced, theirs)]
for each in threads: each.start()
for each in threads: each.join()
print(found)
"""
    assert _say(code, tmp_path) == "[0.0125, 0.0125, 0.0125, 0.0125]"


def test_prices_that_the_host_has_set_are_its_own(tmp_path: Path) -> None:
    code = """
from genai_prices import data_snapshot
data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([], from_auto_update=False))
print(priced())
"""
    assert _say(code, tmp_path) == "0.0125"


def test_the_compiled_form_is_used_and_not_needed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert _say("print(priced())", tmp_path, PYTHONPYCACHEPREFIX=str(cache)) == "0.0125"
    (kept,) = cache.rglob("data.*.pyc")
    assert _say("print(priced())", tmp_path, PYTHONPYCACHEPREFIX=str(cache)) == "0.0125"
    kept.write_bytes(b"")  # as of a disk that was full
    assert _say("print(priced())", tmp_path, PYTHONPYCACHEPREFIX=str(cache)) == "0.0125"
    no = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(tmp_path / "none")}
    assert _say("print(priced())", tmp_path, **no) == "0.0125"


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.mark.usefixtures("uncompiled")
def test_where_no_compiled_form_can_be_kept_it_is_read_in_pieces(
    table: dict[str, pricetable.Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes milliseconds to compile, in which no other thread runs."""
    sizes: list[int] = []
    pieces = table_source._pieces
    monkeypatch.setattr(
        table_source, "_pieces", lambda text: (sizes.append(len(p)) or p for p in pieces(text))
    )
    assert pricetable.read() == table
    assert len(sizes) > 100
    assert max(sizes) < 100_000


@pytest.mark.usefixtures("uncompiled")
def test_a_table_that_is_laid_out_otherwise_is_read_as_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here a model seems to begin in one provider and to end in the next."""
    begin, end = "\n            ModelInfo(\n", "\n            ),\n"
    model = f"id='a', match=ClauseEquals(equals='a'), prices={ONE}"
    heads = [f"Provider(id='{name}', api_pattern='https://p', models=[" for name in "pq"]
    text = f"{heads[0]}{begin}{model})]), {heads[1]}{begin}{model}{end}])"
    file = tmp_path / "data.py"
    file.write_text(f"from .types import *\nproviders = [{text}]")
    found = spec_from_file_location(_DATA, file), table_source._Loader(_DATA, str(file))
    monkeypatch.setattr(table_source, "_found", lambda: found)
    with pytest.raises(SyntaxError):
        [compile(piece, "piece", "exec") for piece in table_source._pieces(file.read_text())]

    assert [provider.exact["a"].id for provider in pricetable.read().values()] == ["a", "a"]


def test_a_package_within_an_archive_is_read_too(tmp_path: Path) -> None:
    import genai_prices

    archive = tmp_path / "packages.zip"
    with ZipFile(archive, "w") as packed:
        for file in genai_prices.__path__:
            for each in sorted(Path(file).glob("*.py")):
                packed.write(each, f"genai_prices/{each.name}")
    code = f"sys.path.insert(0, {str(archive)!r}); print(priced())"

    assert _say(code, tmp_path) == "0.0125"


def test_who_else_finds_modules_is_let_be(
    table: dict[str, pricetable.Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [object(), *sys.meta_path])
    before = set(sys.modules)
    assert pricetable.read() == table
    assert set(sys.modules) == before


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ModuleNotFoundError, match=r"genai_prices\.data"):
        pricetable.read()


def test_a_look_up_imports_reads_and_compiles_nothing(tmp_path: Path) -> None:
    code = """
import itertools, re
import genai_otel
from genai_otel import Settings
from genai_otel.pricing import bundled
given = {"models": {"mine*": {"input": 1, "output": 1, "region": "eu-*", "tier": "f*"},
    "yours": {"same_as": "gpt-4o", "provider": "open?i"}}, "billers": {"*.home": "openai"}}
book, usage = PriceBook(given), Usage()
usage.input = usage.output = 1
book.load()
def forbid(event, arguments):
    if event in ("open", "import", "compile", "exec"):
        raise AssertionError(event, arguments)
def compiled(*_):
    raise AssertionError("a pattern")
names = [(b, f"{n}{more}") for b, n in book.ids() for more in ("", "-2025-01-01", "-nonsense")]
names += [(None, "mine-2"), ("openai", "yours"), ("openai", "nobody's")]
re.purge()
re._compiler.compile = compiled
sys.addaudithook(forbid)
found = set()
for (provider, model), tier in itertools.product(names, (None, "flex")):
    for host in (None, "api.x.home"):
        said = book.price(usage, provider=provider, model=model, at=1.79e9, host=host, tier=tier,
            region="eu-west-1")
        found.add(said.status)
print(*sorted(found))
"""
    assert _say(code, tmp_path).endswith("priced unknown_biller unknown_model unknown_price")
