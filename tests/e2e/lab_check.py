#!/usr/bin/env python3
"""Holds the labs of docs/labs to their figures (lab_criteria.py).

lab_check.py NESTOR LABS WHICH [--full]   NESTOR: the program; LABS: folder of lab files; WHICH: regular
expression of names

10 s of guest time and two phases each, where no deadline may be missed after the first second; prints what
is not as it should be. --full: 100 s and eight phases, under qos and qos+state, where a thousandth may be
missed; prints a table of what was reached.
"""
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from lab_criteria import CHECKS, STRETCH, Setting, Wrong, need

STATE = "=qos+state"
QUICK_STATE = ("lab1", "lab1-strict", "lab3a")  # that make test judges under qos+state, too
HEAD = """[host]
clock = virtual
insn-time = 10ns
charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
"""
BATCH = HEAD + """
[machine B]
image = {image}
append = {guests}
"""
STOPS = """
[machine D]
image = {image}
append = sched=prio run=3s guest=rt,period=7ms,work=1.2ms guest=batch
"""


def run(nestor, path, policies, length, phases):
    cmd = [nestor, "sched-compare", "--json", "--no-alone", "--for", length, "--phases", str(phases)]
    for p in policies:
        cmd += ["--policy", p]
    done = subprocess.run(cmd + [path], capture_output=True, text=True)
    need(done.returncode == 0, f"ended with {done.returncode}: {done.stderr.strip()}")
    return {p["policy"]: p for p in json.loads(done.stdout)["policies"]}


def image_of(text):
    return re.search(r"^image = (.*)", text, re.M).group(1)


def measure_batch(nestor, folder, guests):
    """What so many batch guests of a child do when it is alone."""
    path = os.path.join(folder, "batch.ini")
    with open(path, "w") as out:
        out.write(BATCH.format(image=image_of(open(os.path.join(folder, "lab1.ini")).read()),
                               guests=" ".join(["guest=batch"] * guests)))
    return run(nestor, path, ["rr"], "400s", 1)["rr"]


def variant(folder, lab):
    """Path and length of a lab: NAME[:part][@host key = value][+machine]."""
    name = re.split("[:@+]", lab)[0]
    path = os.path.join(folder, name + ".ini")
    length = Setting.length_s * (0.6 if ":" in lab else 1)
    if name.startswith("lab6") and not Setting.full or name == "topology":
        length = 2  # nothing is learnt there
    if "@" in lab or "+" in lab:
        text = open(path).read()
        if "@" in lab:
            text = text.replace("[host]", "[host]\n" + lab.partition("@")[2])
        if "+" in lab:
            text += STOPS.format(image=image_of(text))
        path = os.path.join(folder, "".join(c if c.isalnum() else "-" for c in lab) + ".ini")
        with open(path, "w") as out:
            out.write(text)
    return path, f"{length}s"


def policies_of(lab, policy):
    policies = [policy]
    if re.match("lab(1|5)(-[a-z-]+)?$|lab6|topology", lab):
        policies.append("rr")
    if re.match("lab6|topology", lab):
        policies.append("credit")
    if lab == "lab9":
        policies.append("qos")
    return policies


def one(nestor, folder, lab):
    """What is wrong, or None, and the figures that were reached."""
    name, _, policy = lab.partition("=qos") if lab.endswith(STATE) else (lab, "", "")
    policy = "qos+state" if policy or name == "lab9" else "qos"
    try:
        path, length = variant(folder, name)
        # phases shift periodic guests only: without any, all runs are the same
        phases = 1 if re.match("lab[69]|topology", name) else Setting.phases
        runs = run(nestor, path, policies_of(name, policy), length, phases)
        for p in runs.values():
            for m in p["machines"]:
                need("+stops" in name or not m["stopped_ns"], f"{m['name']} stopped at {m['stopped_ns']} ns")
        return None, "; ".join(CHECKS[name](runs, policy))
    except Wrong as e:
        return str(e), ""


def main():
    nestor, folder, which = sys.argv[1:4]
    if "--full" in sys.argv:
        Setting.full, Setting.length_s, Setting.phases = True, 100.0, 8
    labs = list(CHECKS) + [lab + STATE for lab in CHECKS if lab != "lab9" and "@" not in lab]
    if Setting.full:
        labs.sort()
        Setting.batch_alone = {n: measure_batch(nestor, folder, n) for n in (1, 2)}
    else:
        labs = [lab for lab in labs if lab not in STRETCH and (not lab.endswith(STATE) or lab[: -len(STATE)] in QUICK_STATE)]
    labs = [lab for lab in labs if re.fullmatch(which, lab)]
    bad = 0
    with ThreadPoolExecutor(1 if Setting.full else 2) as pool:
        for lab, (wrong, figures) in zip(labs, pool.map(lambda lab: one(nestor, folder, lab), labs)):
            stretch = wrong and lab.replace(STATE, "") in STRETCH
            bad += bool(wrong and not stretch)
            if Setting.full:
                print(f"| {lab} | {('not reached: ' + wrong) if wrong else figures} |", flush=True)
            elif wrong:
                print(f"{lab}: {wrong}")
    print(f"{len(labs) - bad} of {len(labs)} labs as they should be")
    sys.exit(bool(bad))


main()
