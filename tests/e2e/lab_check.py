#!/usr/bin/env python3
"""Holds the labs of docs/labs to their figures.

lab_check.py NESTOR LABS [LAB...]   NESTOR: the program; LABS: folder of lab files; LAB: names, default all

10 s of guest time and two phases each, where no deadline may be missed after the first second; with
NESTOR_LONG=1 100 s and eight phases, where a thousandth may be. Prints what is not as it should be.
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

LONG = os.environ.get("NESTOR_LONG") == "1"
LENGTH, PHASES = ("100s", 8) if LONG else ("10s", 2)


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


def all_meet(runs):
    for m in runs["qos"]:
        if m["jobs"]:
            meets(m)
    nothing_idle(runs["qos"])


def lab3a(runs):
    all_meet(runs)
    fair(runs["qos"])


def lab2(runs):
    fair(runs["qos"])


def lab4(runs):
    for m in runs["qos"][:4]:
        if m["jobs"]:
            meets(m)
    for m in runs["qos"]:
        need(m["longest_wait_ns"] <= 100e6, f"{m['name']}: waited {m['longest_wait_ns'] / 1e6} ms")
    need(runs["qos"][4]["refusals"] and runs["qos"][5]["refusals"], "nobody was refused")
    nothing_idle(runs["qos"])


def lab7(runs):
    honest, deceiver = runs["qos"][:2]
    meets(honest, 0.002)
    need(deceiver["cpu_percent"] <= deceiver["fair_percent"] + 1,
         f"the deceiver takes {deceiver['cpu_percent']} %, fair is {deceiver['fair_percent']}")


CHECKS = {
    "lab1": lab1, "lab1-wake-first": lab1, "lab1-strict": lab1,
    "lab2": lab2, "lab2-period": lab2,
    "lab3a": lab3a, "lab3b": all_meet, "lab3b-jitter": all_meet,
    "lab4": lab4,
    "lab7-spin": lab7, "lab7-tick": lab7, "lab7-flood": lab7, "lab7-mimic4": lab7, "lab7-mimic6": lab7,
    "lab7-bait": lab7,
}
NEED_RR = {"lab1", "lab1-wake-first", "lab1-strict"}


def run(nestor, path, policies):
    length = LENGTH
    cmd = [nestor, "sched-compare", "--json", "--for", length, "--phases", str(PHASES)]
    for p in policies:
        cmd += ["--policy", p]
    done = subprocess.run(cmd + [path], capture_output=True, text=True)
    need(done.returncode == 0, f"ended with {done.returncode}: {done.stderr.strip()}")
    return {p["policy"]: p["machines"] for p in json.loads(done.stdout)["policies"]}


def one(nestor, folder, lab):
    policies = ["rr", "qos"] if lab in NEED_RR else ["qos"]
    try:
        CHECKS[lab](run(nestor, os.path.join(folder, lab + ".ini"), policies))
        return None
    except Wrong as e:
        return f"{lab}: {e}"


def main():
    nestor, folder = sys.argv[1:3]
    labs = sys.argv[3:] or list(CHECKS)
    with ThreadPoolExecutor(2) as pool:
        bad = [text for text in pool.map(lambda lab: one(nestor, folder, lab), labs) if text]
    print("\n".join(bad) if bad else f"{len(labs)} labs as they should be")
    sys.exit(bool(bad))


main()
