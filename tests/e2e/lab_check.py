#!/usr/bin/env python3
"""Holds the labs of docs/labs to their figures.

lab_check.py NESTOR LABS WHICH   NESTOR: the program; LABS: folder of lab files; WHICH: regular expression of names

10 s of guest time and two phases each, where no deadline may be missed after the first second; with
NESTOR_LONG=1 100 s and eight phases, where a thousandth may be. Prints what is not as it should be.
"""
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

LONG = os.environ.get("NESTOR_LONG") == "1"
LENGTH, PHASES = ("100s", 8) if LONG else ("10s", 2)


def seconds(text):
    return float(text[:-1])


class Wrong(Exception):
    pass


def need(ok, text):
    if not ok:
        raise Wrong(text)


def meets(m, part=0.001):
    need(m["jobs"] > 100, f"{m['name']}: only {m['jobs']} jobs")
    allowed = m["jobs"] * part if LONG else 0
    need(m["missed_settled"] <= allowed, f"{m['name']}: {m['missed_settled']} of {m['jobs']} missed after 1 s")


def fair(machines):
    for m in machines:
        need(abs(m["cpu_percent"] - m["fair_percent"]) <= 2,
             f"{m['name']}: {m['cpu_percent']} % of the CPU, fair is {m['fair_percent']}")


def nothing_idle(machines):
    used = sum(m["cpu_percent"] for m in machines)
    need(used >= 98, f"{100 - used:.2f} % of the processors was idle")


def lab1(runs):
    rr, qos = runs["rr"], runs["qos"]
    a = rr[0]
    need(a["missed"] * 3 >= a["jobs"] * 0.99, f"rr misses only {a['missed']} of {a['jobs']}")
    meets(qos[0])
    fair(qos)
    nothing_idle(qos)


def lab5_rr(runs):
    """Processes that take turns: the real-time one is found, its period and work are right; most ends are seen."""
    a = runs["qos"][0]
    meets(a)
    fair(runs["qos"])
    nothing_idle(runs["qos"])
    part = a["guests"][0]["parts"][0]
    need(part["settled_after_ns"] and part["settled_after_ns"] <= 1e9,
         f"estimates within 10 % after {part['settled_after_ns']} ns")
    need(part["jobs"] >= 0.95 * (a["jobs"] - 2 * 100 * PHASES), f"{part['jobs']} ends seen of {a['jobs']} jobs")


def all_meet(runs):
    for m in runs["qos"]:
        if m["jobs"]:
            meets(m)
    nothing_idle(runs["qos"])


def lab3a(runs):
    all_meet(runs)
    fair(runs["qos"])


def lab2(runs):
    """After each change: Y and work within 10 % in 20 periods, R settled about its mean, at most 1.5 x the need."""
    fair(runs["qos"])
    for n, p in enumerate(runs["qos"][0]["guests"][0]["parts"]):
        periods = 20 * p["true_y_ns"]
        need(p["settled_after_ns"] and (n == 0 or p["settled_after_ns"] <= periods),
             f"part {n}: estimates within 10 % after {p['settled_after_ns']} ns")
        if n:
            need(p["r_min_ns"] >= 0.85 * p["r_mean_ns"] and p["r_max_ns"] <= 1.15 * p["r_mean_ns"],
                 f"part {n}: R from {p['r_min_ns']} to {p['r_max_ns']}, mean {p['r_mean_ns']} ns")
        need(p["r_mean_ns"] <= 1.5 * p["need_ns"], f"part {n}: R {p['r_mean_ns']}, need {p['need_ns']} ns")


def lab4(runs):
    for m in runs["qos"][:4]:
        if m["jobs"]:
            meets(m)
    for m in runs["qos"]:
        need(m["longest_wait_ns"] <= 100e6, f"{m['name']}: waited {m['longest_wait_ns'] / 1e6} ms")
    need(runs["qos"][4]["refusals"] and runs["qos"][5]["refusals"], "nobody was refused")
    nothing_idle(runs["qos"])
    free = 0.6 * seconds(LENGTH) * 1e9
    for m in runs["qos"][4:6]:
        late = m["guests"][0]["last_miss_ns"] - free
        need(late <= 50 * 10e6, f"{m['name']}: still misses {late / 1e6} ms after the load's end")


def lab4_overload(runs):
    """The part before the load's end."""
    machines = runs["qos"]
    rest = 100 - sum(m["cpu_percent"] for m in machines[:4])
    for m in machines[4:]:
        need(m["cpu_percent"] >= 0.8 * rest / 3, f"{m['name']}: {m['cpu_percent']} % of {rest / 3:.2f}")


def lab6(runs):
    """Locked sections of machines whose processors wait for each other: at least twice those under rr, and no
    less than what plain fair shares give."""
    for rr, qos in zip(runs["rr"], runs["qos"]):
        need(rr["work"] and qos["work"] >= 2 * rr["work"], f"{qos['name']}: {qos['work']}, under rr {rr['work']}")
    for credit, qos in zip(runs["credit"], runs["qos"]):
        need(qos["work"] >= 0.97 * credit["work"], f"{qos['name']}: {qos['work']}, under credit {credit['work']}")
    fair(runs["qos"])
    nothing_idle(runs["qos"])


def lab7(runs):
    honest, deceiver = runs["qos"][:2]
    meets(honest, 0.002)
    need(deceiver["cpu_percent"] <= deceiver["fair_percent"] + 1,
         f"the deceiver takes {deceiver['cpu_percent']} %, fair is {deceiver['fair_percent']}")


def lab9(runs):
    """Quanta by processor state: fewer misses and less of the host's CPU for each unit of work, equal shares."""
    def per_work(policy, key):
        work = sum(m["work"] for m in runs[policy])
        need(work > 1000, f"only {work} units of work under {policy}")
        return sum(m[key] for m in runs[policy]) / work

    for key in ("tlb_misses", "code_misses"):
        qos, state = per_work("qos", key), per_work("qos+state", key)
        need(state <= 0.6 * qos, f"{key}: {state:.3f} a unit of work, under qos {qos:.3f}")
    qos, state = (runs[p][0]["host_cpu_ns"] / sum(m["work"] for m in runs[p]) for p in ("qos", "qos+state"))
    # 10 s are too short for a host that is busy with other things
    need(state < qos * (1 if LONG else 1.1), f"{state:.0f} ns of the host's CPU a unit of work, under qos {qos:.0f}")
    for m in runs["qos+state"]:
        need(abs(m["cpu_percent"] - m["fair_percent"]) <= 0.5, f"{m['name']}: {m['cpu_percent']} % of the CPU")


def topology(runs):
    """Ten machines on eight workers: nobody moves without need, as round robin does; equal shares."""
    def moves(policy):
        return sum(m["moves"] for m in runs[policy]) / sum(m["switches"] for m in runs[policy])

    need(moves("rr") > 0.9, f"rr moves at {moves('rr'):.2f} of its switches")
    for policy in ("credit", "qos"):
        need(moves(policy) <= 0.3, f"{policy} moves at {moves(policy):.2f} of its switches")
        fair(runs[policy])
        nothing_idle(runs[policy])


def slices(runs):
    """Estimates are those that lab1 gives, whatever the slice."""
    a = runs["qos"][0]["guests"][0]
    meets(runs["qos"][0])
    for key, want in (("y_ns", 10e6), ("work_ns", 2e6), ("x_ns", 2.02e6)):
        need(abs(a[key] - want) <= want / 100, f"{key} is {a[key]}")


def stops(runs):
    """D stops in the middle, with a reservation: the others get what it leaves."""
    machines = runs["qos"]
    need(machines[3]["stopped_ns"] and machines[3]["jobs"] > 100, "D did not run, or did not stop")
    meets(machines[0])
    nothing_idle(machines)
    share = sum(m["cpu_percent"] for m in machines[:3]) / 3
    for m in machines[:3]:
        need(abs(m["cpu_percent"] - share) <= 1, f"{m['name']}: {m['cpu_percent']} % of {share:.2f}")


CHECKS = {
    "lab1": lab1, "lab1-wake-first": lab1, "lab1-strict": lab1,
    "lab2": lab2, "lab2-period": lab2, "lab2-wake-first": lab2, "lab2-strict": lab2,
    "lab3a": lab3a, "lab3b": all_meet, "lab3b-jitter": all_meet,
    "lab4": lab4, "lab4:overload": lab4_overload,
    "lab5": lab1, "lab5-rr": lab5_rr,
    "lab6": lab6, "lab6-four": lab6,
    "lab7-spin": lab7, "lab7-tick": lab7, "lab7-flood": lab7, "lab7-mimic4": lab7, "lab7-mimic6": lab7,
    "lab7-bait": lab7, "lab7-halt": lab7, "lab7-yield": lab7,
}
CHECKS["lab9"] = lab9
CHECKS["topology"] = topology
for lab in ("lab1", "lab1-strict", "lab3a"):
    CHECKS[lab + "=qos+state"] = CHECKS[lab]
for text in ("500us", "1ms", "2ms", "5ms", "20ms"):
    CHECKS["lab1@slice = " + text] = slices
CHECKS["lab1+stops"] = stops
if LONG:
    CHECKS["lab3b-93"] = all_meet
STRETCH = {"lab3b-93"}  # held to the same figures, but a miss is told and is no failure
STOPS = """
[machine D]
image = {image}
append = sched=prio run=3s guest=rt,period=7ms,work=1.2ms guest=batch
"""
NEED_RR = {"topology", "lab1=qos+state", "lab1-strict=qos+state", "lab6", "lab6-four", "lab1", "lab5", "lab1-wake-first", "lab1-strict"}


def run(nestor, path, policies, length, phases):
    cmd = [nestor, "sched-compare", "--json", "--no-alone", "--for", length, "--phases", str(phases)]
    for p in policies:
        cmd += ["--policy", p]
    done = subprocess.run(cmd + [path], capture_output=True, text=True)
    need(done.returncode == 0, f"ended with {done.returncode}: {done.stderr.strip()}")
    results = {}
    for p in json.loads(done.stdout)["policies"]:
        for m in p["machines"]:
            m["host_cpu_ns"] = p["host_cpu_ns"]
        results[p["policy"]] = p["machines"]
    return results


def variant(folder, lab):
    """Path, length and checked name of a lab: NAME[:part][@host key = value][+machine], or NAME=POLICY for that in place of qos."""
    name = lab
    for mark in ":@+=":
        name = name.partition(mark)[0]
    path = os.path.join(folder, name + ".ini")
    length = f"{0.6 * seconds(LENGTH)}s" if ":" in lab else LENGTH
    if lab.startswith("lab6") and not LONG or lab == "topology":
        length = "2s" # nothing is learnt there
    if "=qos" not in lab and ("@" in lab or "+" in lab):
        text = open(path).read()
        image = next(line for line in text.splitlines() if line.startswith("image")).split("= ")[1]
        if "@" in lab:
            text = text.replace("[host]", "[host]\n" + lab.partition("@")[2])
        if "+" in lab:
            text += STOPS.format(image=image)
        path = os.path.join(folder, "".join(c if c.isalnum() else "-" for c in lab) + ".ini")
        with open(path, "w") as out:
            out.write(text)
    return path, length


def one(nestor, folder, lab):
    policies = ["rr", "qos"] if lab in NEED_RR else ["qos"]
    if lab.startswith("lab6") or lab == "topology":
        policies.append("credit")
    if lab == "lab9":
        policies.append("qos+state")
    if lab.endswith("=qos+state"):
        policies[-1] = "qos+state"
    try:
        path, length = variant(folder, lab)
        # phases shift periodic guests only: without any, all runs are the same
        phases = 1 if lab.startswith("lab6") or lab == "topology" else PHASES
        results = run(nestor, path, policies, length, phases)
        for machines in results.values():
            for m in machines:
                need("+stops" in lab or not m["stopped_ns"], f"{m['name']} stopped at {m['stopped_ns']} ns")
        if lab.endswith("=qos+state"):
            results["qos"] = results["qos+state"]
        CHECKS[lab](results)
        return None
    except Wrong as e:
        return f"{lab}: {e}"


def main():
    nestor, folder = sys.argv[1:3]
    labs = [lab for lab in CHECKS if re.fullmatch(sys.argv[3], lab)]
    with ThreadPoolExecutor(2) as pool:
        bad = [text for text in pool.map(lambda lab: one(nestor, folder, lab), labs) if text]
    stretch = [text for text in bad if text.partition(":")[0] in STRETCH]
    bad = [text for text in bad if text not in stretch]
    for text in stretch:
        print(f"a stretch, not reached: {text}")
    print("\n".join(bad) if bad else f"{len(labs)} labs as they should be")
    sys.exit(bool(bad))


main()
