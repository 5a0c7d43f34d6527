#!/usr/bin/env bash
# nestor sched-compare: every column of its table is what a recording of the same run says, the fair shares are
# those worked out by hand, --json has the same figures, and the table fits a terminal.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
child=$NESTOR_BUILD/l1-child/child.elf

# C wants a fifth only, so the fair shares of 1:3:1 are 20, 60 and 20 %.
cat >lab.ini <<EOF
[host]
clock = virtual
insn-time = 10ns
charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
workers = 1
for = 3s

[machine A]
image = $child
append = sched=prio guest=rt,period=10ms,work=1ms guest=batch

[machine B]
image = $child
weight = 3072
append = guest=batch

[machine a-longer-name]
image = $child
append = sched=prio guest=rt,period=5ms,work=0.9ms,change=1s:8ms:1.5ms
EOF
"$NESTOR" sched-compare lab.ini >table || exit 1
"$NESTOR" sched-compare --json lab.ini >json || exit 1
"$NESTOR" sched-compare --json --policy rr --no-alone --phases 2 lab.ini >phases || exit 1
for policy in rr qos; do
	sed "s/workers/sched = $policy\nworkers/" lab.ini >"$policy.ini"
	"$NESTOR" record -o "$policy" "$policy.ini" >"$policy.out" 2>&1 || { cat "$policy.out"; exit 1; }
	babeltrace2 "$policy" 2>/dev/null | grep -E 'nestor:(vm_scheduled|guest_deadline|sched_reserve|halt|wake):' >"$policy.txt"
done
python3 - <<'EOF'
import json, re, sys

NONE = 0xFFFFFFFF
GUEST0 = "A", "B", "a-longer-name"
bad = []


def check(ok, text):
    if not ok:
        bad.append(text)


def near(a, b, part, text):
    check(abs(a - b) <= part * max(abs(b), 1e-9), f"{text}: {a}, should be {b}")


def events(policy):
    for line in open(policy + ".txt"):
        kind = re.search(r"nestor:(\w+):", line).group(1)
        yield kind, {k: v if v.startswith('"') else int(v, 0) for k, v in re.findall(r'(\w+) = (?:\( )?("[^"]*"|-?\w+)', line)}


def from_trace(policy):
    """Of each machine: switches to it, CPU time, longest wait while runnable, its guests' own counts."""
    m = [{"switches": 0, "cpu": 0, "gap": 0, "jobs": 0, "misses": 0, "worst-lateness-us": 0, "work": {}, "reserve": None, "refusals": 0}
         for _ in GUEST0]
    since, running, ready, last = 0, None, {}, 0
    for kind, e in events(policy):
        now = e["vtime_ns"]
        if kind == "vm_scheduled":
            if running is not None:
                m[running]["cpu"] += now - since
                if e["reason"] in ('"slice-end"', '"preempted"'):
                    ready[running] = now
            running = None if e["next"] == NONE else e["next"] >> 16
            since = now
            if running is not None:
                m[running]["switches"] += e["prev"] != e["next"]
                if running in ready:
                    m[running]["gap"] = max(m[running]["gap"], now - ready.pop(running))
        elif kind == "guest_deadline":
            what, at = e["kind"].strip('"'), m[e["vcpu_id"] >> 16]
            if what == "work":
                at["work"][e["guest"]] = e["count"]
            elif what in at:
                at[what] = e["count"]
        elif kind == "sched_reserve":
            at = m[e["vcpu_id"] >> 16]
            at["reserve"] = e
            at["refusals"] += "refused" in e["reason"]
        last = now
    if running is not None:
        m[running]["cpu"] += 3_000_000_000 - since
    return m


whole = json.load(open("json"))
runs = {p["policy"]: p["machines"] for p in whole["policies"]}
check(list(runs) == ["rr", "credit", "qos", "qos+state"], f"policies: {list(runs)}")
alone = whole["alone"]
check([a["name"] for a in alone] == list(GUEST0), "machines alone")
for a, cpu in zip(alone, (100, 100, 20)):
    near(a["cpu_percent"], cpu, 0.1, f"{a['name']} alone: CPU")
    check(a["missed"] == 0, f"{a['name']} alone misses")
wanted = alone[2]["cpu_percent"]
for machines in runs.values():
    for m, fair in zip(machines, ((100 - wanted) / 4, (100 - wanted) * 3 / 4, wanted)):
        if wanted < 20:
            near(m["fair_percent"], fair, 0.01, f"{m['name']}: fair share")

for policy in "rr", "qos":
    for t, m in zip(from_trace(policy), runs[policy]):
        name = f"{policy}: {m['name']}: "
        check(m["switches"] == t["switches"], f"{name}{m['switches']} switches, in the trace {t['switches']}")
        near(m["cpu_percent"], t["cpu"] / 3e7, 0.01, name + "CPU")
        if m["name"] != GUEST0[2]:  # always runnable: taken away is waiting
            near(m["longest_wait_ns"], t["gap"], 0.01, name + "longest gap")
        check(m["missed"] == t["misses"], f"{name}{m['missed']} missed, the guest counts {t['misses']}")
        check(m["jobs"] == t["jobs"], f"{name}{m['jobs']} jobs, the guest counts {t['jobs']}")
        check(m["late_us"] == t["worst-lateness-us"], f"{name}late {m['late_us']}, the guest counts {t['worst-lateness-us']}")
        check(m["work"] == sum(t["work"].values()), f"{name}work {m['work']}, the guests count {t['work']}")
        check(m["refusals"] == t["refusals"], f"{name}{m['refusals']} refusals, in the trace {t['refusals']}")
check(runs["rr"][0]["missed"] > 20 and runs["rr"][0]["late_us"] > 1000, "rr misses nothing")
check(runs["qos"][0]["missed_settled"] == runs["qos"][2]["missed_settled"] == 0, "qos misses")

# what is inferred, against the lab file
for i, parts in ((0, [(10e6, 1e6)]), (2, [(5e6, 0.9e6), (8e6, 1.5e6)])):
    g = runs["qos"][i]["guests"][0]
    check([(p["true_y_ns"], p["true_work_ns"]) for p in g["parts"]] == parts, f"the truth of machine {i}: {g['parts']}")
    near(g["y_ns"], parts[-1][0], 0.01, "Y")
    near(g["work_ns"], parts[-1][1], 0.05, "work")
    near(g["x_ns"], g["parts"][-1]["need_ns"], 0.1, "X")
    for p in g["parts"]:
        check(p["settled_after_ns"] and 0 < p["settled_after_ns"] <= 20 * p["true_y_ns"], f"within 10 % after {p['settled_after_ns']}")
        check(p["true_work_ns"] <= p["need_ns"] <= 1.3 * p["true_work_ns"] or not p["jobs"], f"need {p['need_ns']}")
    check(g["why"]["period"]["holds"] and g["why"]["real-time"]["confidence"] > 50, f"why: {g['why']}")

# phases: each counts by itself, and they add up
for m in json.load(open("phases"))["policies"][0]["machines"]:
    check(len(m["phases"]) == 2, "two phases")
    for key in "jobs", "missed", "missed_settled":
        check(sum(p[key] for p in m["phases"]) == m[key], f"{key} of phases: {m['phases']}")

# the table says the same
rows, policy, carried = {}, None, None
for line in open("table"):
    check(len(line.rstrip("\n")) <= 80, f"{len(line)} columns: {line}")
    if line[:10].strip():
        policy = line[:10].strip()
    f = line[10:].split()
    if f and f[0] == GUEST0[2] and len(f) == 1:
        carried = f[0]
        continue
    if carried:
        f.insert(0, carried)
        carried = None
    if len(f) == 9 and f[0] in GUEST0:
        rows[policy, f[0]] = f[1:]
for policy, machines in list(runs.items()) + [("alone", alone)]:
    for m in machines:
        row = rows.get((policy, m["name"]))
        if not row:
            bad.append(f"the table has no row for {m['name']} under {policy}")
            continue
        got = [float(x) for x in row if x != "-"]
        want = [m["jobs"], m["missed"], m["missed_settled"], m["late_us"] / 1e3, m["longest_wait_ns"] / 1e6, m["cpu_percent"]]
        want += [m["fair_percent"]] if "fair_percent" in m else []
        want += [m["switches"] / 3]
        check(len(got) == len(want) and all(abs(g - w) < 0.006 for g, w in zip(got[:-1], want))
              and abs(got[-1] - want[-1]) < 0.51,
              f"row of {m['name']} under {policy}: {got}, JSON {want}")
text = open("table").read()
for word in "within 10 % after", "then within 10 % after", "period: arrivals-on-a-grid", "real-time: jobs-end", "admitted":
    check(word in text, f"the table does not say '{word}'")
print("\n".join(bad))
sys.exit(bool(bad))
EOF
