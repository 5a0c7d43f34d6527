#!/bin/bash
# A recording as a stock CTF trace in virtual time, and the Trace Compass analysis that goes with it: the
# events and fields that the analysis names are in the trace, and its sums are the report's.
. "${0%/*}/lib.sh"
mkdir "$work/a"
"$emit" -r -n 200 -w 2 "$work/a" >"$work/log" 2>&1 || fail "emit: $(cat "$work/log")"
babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/a" -c filter.nestor.levels --params='events=yes' \
	-c sink.ctf.fs --params="path=\"$work/v\",quiet=yes" >"$work/log" 2>&1 || fail "no CTF: $(tail -n 3 "$work/log")"
babeltrace2 "$work/v" >"$work/text" 2>"$work/err" || fail "it cannot be read: $(cat "$work/err")"
babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/a" -c sink.nestor.summary --params='format="json"' >"$work/json" || fail json
python3 - "$NESTOR_SRC/trace/tracecompass/nestor.xml" "$work/text" "$work/json" <<'END' || fail "analysis and trace do not agree"
import json, re, sys, xml.etree.ElementTree as xml
root = xml.parse(sys.argv[1]).getroot()
lines = open(sys.argv[2]).read().splitlines()
fields, runs, last = {}, {}, 0
for line in lines:
    m = re.match(r"\[(\d+):(\d+):(\d+)\.(\d+)\] \S+ (?:\S+ )*?(nestor:\w+): .*?\{ (.*) \}$", line)
    assert m, line
    ns = ((int(m[1]) * 60 + int(m[2])) * 60 + int(m[3])) * 10**9 + int(m[4])
    assert ns >= last, "time goes back"
    last = ns
    fields.setdefault(m[5], set()).update(re.findall(r"(\w+) = ", m[6]))
    who = re.search(r'name = "([^"]*)"', m[6])
    if m[5] == "nestor:level_begin":
        runs[who[1]] = runs.get(who[1], 0) - ns
    elif m[5] == "nestor:level_end":
        runs[who[1]] = runs.get(who[1], 0) + ns
    if "vtime_ns" in fields[m[5]]:
        assert f"vtime_ns = {ns}," in m[6], line
report = json.load(open(sys.argv[3]))
assert sum(runs.values()) == sum(v["ran_ns"] for v in report["vcpus"]) + report["level_ns"][0], runs
kinds = set(fields) | {"nestor:deadline_miss"}  # none in this run
fields["nestor:deadline_miss"] = {"entity"}
for handler in root.iter("eventHandler"):
    name = handler.get("eventName")
    assert name in kinds, name
    used = [a.get("value") for a in handler.iter("stateAttribute") if a.get("type") == "eventField"]
    used += [v.get("value") for v in handler.iter("stateValue") if v.get("type") == "eventField"]
    used += [f.get("name") for f in handler.iter("field")]
    assert used and all(u in fields[name] for u in used), (name, used)
paths = {e.get("path").split("/")[0] for e in root.iter("entry")} - {"*"}
made = {a.get("value") for a in root.iter("stateAttribute") if a.get("type") == "constant"}
assert paths <= made, (paths, made)
END
babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/a" -c filter.nestor.levels --params='colour=yes' >"$work/log" 2>&1 &&
	fail "takes an unknown parameter"
grep -q 'the one parameter is events=yes' "$work/log" || fail "no reason: $(tail -n 3 "$work/log")"
