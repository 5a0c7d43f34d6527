#!/usr/bin/env bash
# Two workers under the virtual clock go in windows, one after the other. No processor is on both at once, or on one
# before the other's time at which it was taken away or woken.
set -u
command -v babeltrace2 >/dev/null || { echo 'no babeltrace2'; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
sed "s#\.\./\.\./build/rel#$NESTOR_BUILD#; s/^for = .*/for = 400ms\nsched = qos/" "$NESTOR_SRC/docs/labs/lab3b.ini" >"$work/lab.ini"
timeout 60 "$NESTOR" run --record -o "$work/trace" "$work/lab.ini" >"$work/out" 2>&1 </dev/null || { cat "$work/out"; exit 1; }
babeltrace2 "$work/trace" 2>/dev/null | grep -E 'nestor:(vm_scheduled|wake):' >"$work/events"
python3 - "$work/events" <<'P'
import re
import sys

NONE = 0xFFFFFFFF
runs, wakes, on = {}, {}, {}
for line in open(sys.argv[1]):
    e = {k: int(v) for k, v in re.findall(r"(\w+) = (\d+)", line)}
    if ":wake:" in line:
        wakes.setdefault(e["vcpu_id"], []).append(e["vtime_ns"])
        continue
    vcpu, since = on.get(e["worker"], (NONE, 0))
    if vcpu != NONE:
        runs.setdefault(vcpu, []).append((since, e["vtime_ns"], '"halt"' in line))
    on[e["worker"]] = e["next"], e["vtime_ns"]
bad = 0
for vcpu, spans in runs.items():
    spans.sort()
    for (a, b, halts), (c, d, _) in zip(spans, spans[1:]):
        woken = not halts or any(b <= t <= c for t in wakes.get(vcpu, []))
        if c < b or not woken:
            bad += 1
            if bad < 5:
                print(f"processor {vcpu:#x} ran from {a} to {b} and from {c} to {d}{'' if woken else ', not woken between'}")
if bad or sum(map(len, runs.values())) < 500:
    sys.exit(f"{bad} of {sum(map(len, runs.values()))} turns out of order")
P
