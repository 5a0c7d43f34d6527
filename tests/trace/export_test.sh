#!/bin/bash
# Every format of nestor report and nestor diff on a recorded run: parsed by the formats' own rules,
# and their sums compared with the report's.
# One thread: not in MODE=tsan.
. "${0%/*}/lib.sh"
child=$NESTOR_BUILD/l1-child/child.elf
run() {
	"$NESTOR" record --clock virtual --workers 1 --for "$2" -o "$1" "$child" --name A \
		--append 'guest=rt,period=10ms,work=2ms guest=batch' >"$work/log" 2>&1 ||
		fail "record: $(cat "$work/log")"
}
run "$work/a" 200ms
for format in text details json svg html perfetto folded speedscope junit; do
	"$NESTOR" report --$format -o "$work/out.$format" "$work/a" 2>"$work/err" ||
		fail "--$format: $(cat "$work/err")"
	"$NESTOR" report --$format "$work/a" | cmp -s - "$work/out.$format" ||
		fail "--$format: not the same on standard output"
done
cd "$work" || exit 1
python3 - <<'END' || fail "the formats do not agree"
import json, re, xml.etree.ElementTree as xml
report = json.load(open("out.json"))
ran = {v["vcpu"]: v["ran_ns"] for v in report["vcpus"]}

events = json.load(open("out.perfetto"))["traceEvents"]
tracks = {}
for e in events:
    if e["ph"] == "X" and e["pid"] != 1:
        tracks[e["tid"] - 1] = tracks.get(e["tid"] - 1, 0) + round(e["dur"] * 1000)
assert tracks == {v: ns for v, ns in ran.items() if ns}, (tracks, ran)
named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
assert all((e["pid"], e["tid"]) in named for e in events if e["ph"] == "X")

page = open("out.html").read()
data = json.loads(re.search(r"const D = (\{.*\});\n", page).group(1))
assert data["exact"] and data["events"] == report["events"]
s, sums = data["stretches"], {}
for i in range(0, len(s), 6):
    if s[i + 4] >= 0:
        sums[s[i + 4]] = sums.get(s[i + 4], 0) + s[i + 1]
assert sums == {v: ns for v, ns in ran.items() if ns}, (sums, ran)
assert "http" not in page.replace("http-equiv", ""), "the page loads something"

cost = sum(x["host_cost_ns"] for x in report["exits"])
folded = [line.rsplit(" ", 1) for line in open("out.folded").read().splitlines()]
assert sum(int(n) for _, n in folded) == cost
scope = json.load(open("out.speedscope"))
assert sum(scope["profiles"][0]["weights"]) == cost
assert sum(scope["profiles"][1]["weights"]) == sum(x["count"] for x in report["exits"])
assert all(f < len(scope["shared"]["frames"]) for p in scope["profiles"] for st in p["samples"] for f in st)
assert sum(n["count"] for n in report["exit_tree"]) == sum(x["count"] for x in report["exits"])

svg = xml.parse("out.svg").getroot()
assert svg.tag.endswith("svg") and len(svg.findall("{*}rect")) > 10
suite = xml.parse("out.junit").getroot()[0]
assert int(suite.get("tests")) == len(suite.findall("testcase"))
assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
END
grep -q "Where exits come from" out.details || fail "no places"
grep -q "What one exit of a guest costs" out.text || fail "no tree"

# a window draws only that
"$NESTOR" report --perfetto --from 100ms --to 110ms "$work/a" >window || fail "window"
python3 - <<'END' || fail "the window does not hold"
import json
slices = [e for e in json.load(open("window"))["traceEvents"] if e["ph"] == "X"]
assert slices and all(e["ts"] >= 100000 and e["ts"] + e["dur"] <= 110000.001 for e in slices)
END
"$NESTOR" report --svg --from 2s --to 1s "$work/a" 2>&1 | grep -q "not before" || fail "a backward window"
"$NESTOR" report --svg -o "$work/no/such" "$work/a" 2>&1 | grep -q "No such file" || fail "no folder"

# equal runs have no difference, another one has
run "$work/b" 200ms
run "$work/c" 300ms
"$NESTOR" diff "$work/a" "$work/b" | grep -q "^0 of [0-9]* figures differ" || fail "equal runs differ"
"$NESTOR" diff "$work/a" "$work/c" | grep -q "level 2 CPUID" || fail "different runs are equal"
"$NESTOR" diff --json "$work/a" "$work/c" | python3 -c '
import json, sys
rows = json.load(sys.stdin)["figures"]
assert any(r["name"] == "virtual time" and r["b"] > r["a"] for r in rows)' || fail "diff --json"
"$NESTOR" diff "$work/a" 2>&1 | grep -q "give two traces" || fail "one trace"
"$NESTOR" report "$work" | grep -c '^Trace ' | grep -qx 3 || fail "a folder of three runs"
"$NESTOR" diff "$work" "$work/a" 2>&1 | grep -q "3 traces in it; give one" || fail "diff of a folder of three"
"$NESTOR" report "$work/a" "$work/c" | grep -c '^Trace ' | grep -qx 2 || fail "two reports"
