#!/usr/bin/env bash
# tests/long/lab8.sh - lab 8: as lab 1, with Debian's kernel and its KVM as the child that has a real-time guest
# (10 ms, 2 ms of work) beside a batch guest; two children with two batch guests each. Round robin misses
# 33 % of the deadlines at least, qos none after the guest's first second, and batch guests get all the rest.
. "$(dirname "$0")/../e2e/linux/lib.sh"
root=$here/../../..
child=$(dirname "$nestor")/l1-child/child.elf
[ -e "$child" ] || child=$root/build/rel/l1-child/child.elf

gcc -O1 -static -I "$root" -o "$work/kvm_periodic" "$root/tests/long/kvm_periodic.c" || fail 'kvm_periodic.c'
initrd lab8 "$work/kvm_periodic" <<'S'
load irqbypass kvm kvm-intel
kvm_periodic 10000 2000 10
S
cat >"$work/lab8.ini" <<EOF
[host]
clock = virtual
insn-time = 10ns
charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
workers = 1
for = ${LAB8_FOR:-150s}

[machine A]
image = $vmlinuz
initrd = $work/lab8.gz
memory = 512M
append = console=ttyS0 quiet

[machine B]
image = $child
append = guest=batch guest=batch

[machine C]
image = $child
append = guest=batch guest=batch
EOF
timeout "${LAB8_TIMEOUT:-1100}" "$nestor" sched-compare --no-alone --json --policy rr --policy qos "$work/lab8.ini" \
	>"$work/out" 2>"$work/err" || fail "lab 8: the runs ended with $?"
[ -z "${LAB8_SHOW:-}" ] || cat "$work/out"
python3 - "$work/out" <<'EOF' || exit 1
import json, sys
runs = {p["policy"]: p["machines"] for p in json.load(open(sys.argv[1]))["policies"]}
bad = []
for policy, ms in runs.items():
    a = ms[0]
    if a["jobs"] < 1000:
        bad.append(f"{policy}: only {a['jobs']} jobs")
    if policy == "rr" and a["missed"] * 100 < a["jobs"] * 33:
        bad.append(f"rr misses only {a['missed']} of {a['jobs']}")
    if policy == "qos":
        if a["missed"] > a["jobs"] / 1000:
            bad.append(f"qos misses {a['missed']} of {a['jobs']}")
        for m in ms:
            if abs(m["cpu_percent"] - m["fair_percent"]) > 2:
                bad.append(f"{m['name']}: {m['cpu_percent']} % of the CPU, fair is {m['fair_percent']}")
        if sum(m["cpu_percent"] for m in ms) < 98:
            bad.append("some of the CPU was idle")
    print(f"{policy}: {a['missed']} of {a['jobs']} missed")
print("\n".join(bad) or "ok lab8")
sys.exit(bool(bad))
EOF
