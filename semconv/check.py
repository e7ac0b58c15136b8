"""Check OTLP-JSON lines against gen_ai.json and the JSON schemas beside it.

Each input line is one Export{Trace,Metrics,Logs}ServiceRequest, as the collector's
file exporter writes them. Prints one violation a line and exits 1 if there was any.

    check.py [--profile both|head|1.41] FILE...      ("-" reads stdin)
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
PREFIXES = ("gen_ai.", "mcp.")
OWN = "genai_otel."
METRIC_FORMS = ("histogram", "exponentialHistogram", "sum", "gauge", "summary")
SCALARS = {
    "stringValue": ("string", str),
    "intValue": ("int", int),
    "doubleValue": ("double", float),
    "boolValue": ("boolean", bool),
    "bytesValue": ("bytes", str),
}
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "number": (int, float),
    "null": (type(None),),
}


class Value(NamedTuple):
    """A decoded OTLP AnyValue with the conventions' name for its type."""

    type: str
    data: Any


Attributes = Mapping[str, Value]
Violations = Iterator[str]


def decode(any_value: Mapping[str, Any]) -> Value:
    for key, raw in any_value.items():
        if key in SCALARS:
            name, convert = SCALARS[key]
            return Value(name, convert(raw))
        if key == "arrayValue":
            items = [decode(v) for v in raw.get("values", [])]
            inner = {item.type for item in items} or {"string"}
            return Value(
                f"{inner.pop()}[]" if len(inner) == 1 else "array", [item.data for item in items]
            )
        if key == "kvlistValue":
            return Value(
                "map", {kv["key"]: decode(kv["value"]).data for kv in raw.get("values", [])}
            )
    return Value("empty", None)


def attributes_of(holder: Mapping[str, Any]) -> dict[str, Value]:
    return {kv["key"]: decode(kv.get("value", {})) for kv in holder.get("attributes", [])}


def render(template: str, attrs: Attributes) -> str | None:
    if any(key not in attrs for key in re.findall(r"{([^}]+)}", template)):
        return None
    return re.sub(r"{([^}]+)}", lambda found: str(attrs[found[1]].data), template)


def schema_errors(  # noqa: C901 - one branch a keyword
    schema: Any, data: Any, root: Any, path: str = "$"
) -> Violations:
    """The part of JSON Schema that the documents in this folder use."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    values = [schema["const"]] if "const" in schema else schema.get("enum", [data])
    if data not in values:
        yield f"{path} is {data!r}, should be {' or '.join(map(repr, values))}"
    if "not" in schema and not any(schema_errors(schema["not"], data, root, path)):
        yield f"{path} has the excluded value {data!r}"
    if "anyOf" in schema:
        tried = [list(schema_errors(option, data, root, path)) for option in schema["anyOf"]]
        if all(tried):  # tell about the alternative whose discriminator matched, if any
            yield min(tried, key=lambda errors: any(f"{path}.type" in error for error in errors))[0]
    if "type" in schema:
        allowed = JSON_TYPES[schema["type"]]
        if not isinstance(data, allowed) or (isinstance(data, bool) and bool not in allowed):
            yield f"{path} is not of type {schema['type']}"
            return
    if isinstance(data, dict):
        yield from (
            f"{path}.{name} is missing" for name in schema.get("required", []) if name not in data
        )
        for name, sub in schema.get("properties", {}).items():
            if name in data:
                yield from schema_errors(sub, data[name], root, f"{path}.{name}")
    if isinstance(data, list) and "items" in schema:
        for index, item in enumerate(data):
            yield from schema_errors(schema["items"], item, root, f"{path}[{index}]")


class Checker:
    def __init__(self, profile: str = "both", folder: Path = HERE) -> None:
        self.profile, self.folder = profile, folder
        spec = json.loads((folder / "gen_ai.json").read_text(encoding="utf-8"))
        self.attributes, self.spans, self.metrics, self.events = (
            spec[k] for k in ("attributes", "spans", "metrics", "events")
        )
        self.own_prefixes, self.own_operations = (
            spec["extensions"][k] for k in ("attribute_prefixes", "operations")
        )
        declared = spec["extensions"]
        self.attributes, self.metrics = (
            self.attributes | declared["attributes"],
            self.metrics | declared["metrics"],
        )
        self.deprecated = {(d["kind"], d["old"]): d["new"] for d in spec["deprecated"]}
        self.schemas: dict[str, Any] = {}

    def legal(self, entry: Mapping[str, Any]) -> bool:
        return self.profile == "both" or self.profile in entry["in"]

    def definition(self, name: str) -> dict[str, Any] | None:
        for stem, entry in self.attributes.items():
            if name == stem:
                return dict(entry)
            if entry["type"].startswith("template[") and name.startswith(f"{stem}."):
                return {**entry, "type": entry["type"][len("template[") : -1]}
        return None

    def attribute(self, name: str, value: Value, signal: str) -> Violations:
        entry = self.definition(name)
        if entry is None or not self.legal(entry):
            if name.startswith(PREFIXES) and not name.startswith(tuple(self.own_prefixes)):
                newer = self.deprecated.get(("attribute", name))
                yield f"[attribute] {name}: " + (
                    f"deprecated, use {newer}" if newer else f"unknown in profile {self.profile}"
                )
            elif name.startswith(OWN):
                yield f"[attribute] {name}: not declared in extensions.attributes"
        elif entry["type"] == "any":
            yield from self.structured(name, value, entry, signal)
        elif entry.get("on", signal) != signal:
            yield f"[attribute] {name} belongs on the {entry['on']}, not on a {signal}"
        elif value.type not in (entry["type"], *entry.get("also_types", [])):
            yield f"[type] {name} is {value.type}, should be {entry['type']}"
        elif "enum" in entry and value.data not in entry["enum"]:
            better = entry.get("aliases", {}).get(value.data)
            if better or (
                entry["enum_check"] == "strict" and value.data not in self.own_operations
            ):
                yield f"[enum] {name} is {value.data!r}, should be " + (
                    repr(better) if better else f"one of {entry['enum']}"
                )

    def structured(
        self, name: str, value: Value, entry: Mapping[str, Any], signal: str
    ) -> Violations:
        data = value.data
        if value.type == "string":
            if signal == "event":
                yield f"[json] {name} is a JSON string; events carry the structured value"
            try:
                data = json.loads(data)
            except ValueError as error:
                yield f"[json] {name} is not JSON: {error}"
                return
        compat = entry.get("json_schema_compat", entry["json_schema"])
        for file in {"head": [entry["json_schema"]], "1.41": [compat]}.get(
            self.profile, sorted({entry["json_schema"], compat})
        ):
            if file not in self.schemas:
                self.schemas[file] = json.loads((self.folder / file).read_text(encoding="utf-8"))
            for problem in schema_errors(self.schemas[file], data, self.schemas[file]):
                yield f"[schema] {name}: {problem} ({file})"

    def group(
        self, attrs: Attributes, wanted: Mapping[str, Any], signal: str, *, failed: bool = False
    ) -> Violations:
        """Every attribute on its own, then which of the wanted ones are absent."""
        for name, value in attrs.items():
            yield from self.attribute(name, value, signal)
        for name, rule in wanted.items():
            level, check = (
                (rule, "") if isinstance(rule, str) else (rule["level"], rule.get("check", ""))
            )
            test, _, other = check.partition(":")
            rules = {
                "if_error": failed,
                "if_attr": other in attrs,
                "if_not_attr": other not in attrs,
            }
            if rules.get(test, level == "required") and name not in attrs:
                yield f"[missing] {name} is required" + (f" ({check})" if check else "")

    def span_type(self, attrs: Attributes, kind: str) -> str | None:
        operation = (
            attrs["gen_ai.operation.name"].data if "gen_ai.operation.name" in attrs else None
        )
        if "mcp.method.name" in attrs and kind in ("CLIENT", "SERVER"):
            return f"mcp.{kind.lower()}"
        fitting: list[str] = [
            name for name, span in self.spans.items() if operation in span["operations"]
        ]
        if not fitting:
            return "db.client" if "db.system.name" in attrs and operation is None else None
        return next((name for name in fitting if kind in self.spans[name]["kind"]), fitting[0])

    def span(self, span: Mapping[str, Any]) -> Violations:
        attrs, raw_kind = attributes_of(span), span.get("kind", 0)
        kind = (
            KINDS[raw_kind]
            if isinstance(raw_kind, int)
            else str(raw_kind).removeprefix("SPAN_KIND_")
        )
        failed = span.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR")
        chosen = self.span_type(attrs, kind)
        if chosen is None:
            ours = any(n.startswith(PREFIXES) and n != "gen_ai.conversation.id" for n in attrs)
            yield from self.group(
                attrs, {"gen_ai.operation.name": "required"} if ours else {}, "span", failed=failed
            )
        else:
            rules = self.spans[chosen]
            wanted = (
                rules.get("attributes_141", rules["attributes"])
                if self.profile == "1.41"
                else rules["attributes"]
            )
            yield from self.group(attrs, wanted, "span", failed=failed)
            if kind not in rules["kind"]:
                yield f"[kind] span kind {kind}; {chosen} needs {' or '.join(rules['kind'])}"
            good = [
                text for text in (render(template, attrs) for template in rules["name"]) if text
            ]
            accepted = good if rules.get("name_mode") == "any" else good[:1]
            if span.get("name") not in [
                *accepted,
                *(render(t, attrs) for t in rules.get("name_alternatives", [])),
            ]:
                expected = (accepted or rules["name"])[0]
                yield f"[name] span name {span.get('name')!r}, should be {expected!r}"
        old = [
            e["name"] for e in span.get("events", []) if ("event", e.get("name")) in self.deprecated
        ]
        yield from (f"[event] span event {name} is deprecated" for name in old)

    def metric(self, metric: Mapping[str, Any]) -> Violations:
        name = metric.get("name", "")
        rules = self.metrics.get(name)
        if rules is None or not self.legal(rules):
            if name.startswith((*PREFIXES, OWN)):
                yield f"[metric] {name}: unknown in profile {self.profile}"
            return
        form = next((known for known in METRIC_FORMS if known in metric), "nothing")
        body = metric.get(form, {})
        fits = {
            "histogram": form in METRIC_FORMS[:2],
            "gauge": form == "gauge",
            "updowncounter": form == "sum" and not body.get("isMonotonic"),
        }.get(rules["instrument"], body.get("isMonotonic") is True)
        if not fits:
            yield f"[instrument] {name} is exported as {form}, should be a {rules['instrument']}"
        if metric.get("unit", "") != rules["unit"]:
            yield f"[unit] {name} has unit {metric.get('unit', '')!r}, should be {rules['unit']!r}"
        for point in body.get("dataPoints", []):
            attrs = attributes_of(point)
            yield from self.group(attrs, rules["attributes"], "metric")
            foreign = sorted(set(attrs) - set(rules["attributes"])) if rules.get("closed") else []
            yield from (f"[dimension] {key} is not a dimension of {name}" for key in foreign)
            if (
                form == "histogram"
                and rules["buckets"]
                and point.get("explicitBounds") != rules["buckets"]
            ):
                bounds = point.get("explicitBounds")
                yield f"[buckets] {name} has bounds {bounds}, advised {rules['buckets']}"

    def event(self, record: Mapping[str, Any]) -> Violations:
        attrs = attributes_of(record)
        name = record.get("eventName") or attrs.get("event.name", Value("string", "")).data
        if name in self.events:
            yield from self.group(attrs, self.events[name]["attributes"], "event")
        elif str(name).startswith(PREFIXES):
            old = ("event", name) in self.deprecated
            yield f"[event] {name}: {'deprecated' if old else 'unknown'}"

    def request(self, request: Mapping[str, Any]) -> Violations:
        layout = (
            ("resourceSpans", "scopeSpans", "spans", self.span),
            ("resourceLogs", "scopeLogs", "logRecords", self.event),
            ("resourceMetrics", "scopeMetrics", "metrics", self.metric),
        )
        if not any(top in request for top, *_ in layout):
            yield "line: [otlp] no resourceSpans, resourceMetrics or resourceLogs"
        for top, middle, leaf, check in layout:
            for resource in request.get(top, []):
                for violation in self.group(
                    attributes_of(resource.get("resource", {})), {}, "resource"
                ):
                    yield f"resource: {violation}"
                for item in (
                    item for scope in resource.get(middle, []) for item in scope.get(leaf, [])
                ):
                    label = item.get("name") or item.get("eventName") or "?"
                    yield from (f"{leaf} {label!r}: {violation}" for violation in check(item))


def run(files: Iterable[str], checker: Checker) -> int:
    count = 0
    for file in files:
        with sys.stdin if file == "-" else Path(file).open(encoding="utf-8") as stream:
            for number, line in enumerate(filter(str.strip, stream), 1):
                try:
                    found = list(checker.request(json.loads(line)))
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    found = [f"line: [otlp] not an OTLP-JSON request: {error!r}"]
                count += len(found)
                print(*(f"{file}:{number}: {violation}\n" for violation in found), sep="", end="")
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--profile", choices=("both", "head", "1.41"), default="both")
    options = parser.parse_args()
    return 1 if run(options.files, Checker(options.profile)) else 0


if __name__ == "__main__":
    sys.exit(main())
