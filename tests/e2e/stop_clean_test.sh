#!/usr/bin/env bash
# A machine that stops in the middle of a run, by a triple fault, a reset, power off or the debug port, or starts again
# by a reset, leaves nothing behind: the other one has all the rest of the time, under each policy, with parking and
# with processors that come and go, and the run ends as it should.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

# Four processors that work below a lock for a while, then the first of them does what END says.
guest() { # NAME END
	sed "s/^2:	cmp	%eax, served/2:	cmpl	\$400, sections\n	jae	9f\n	cmp	%eax, served/" "$NESTOR_SRC/l1-child/smp/spinlock.S" >"$1.S"
	cat >>"$1.S" <<S
	.text
	.code32
9:	$2
	jmp	9b
none:	.word	0
	.long	0
S
	gcc -m32 -I "$NESTOR_SRC" -c -o "$1.o" "$1.S" && ld -m elf_i386 -N -Ttext 0x100000 --no-warn-rwx-segments -o "$1.elf" "$1.o" || exit 1
}
guest triple 'lidt none; int3'
guest reset 'mov $0xcf9, %dx; mov $6, %al; out %al, %dx'
guest off 'mov $0x604, %dx; mov $0x3400, %ax; out %ax, %dx'
guest debug 'mov $0xf4, %dx; mov $1, %al; out %al, %dx'

# run END STATUS TIME OPTION...: B ends so, the run with that; A must have so much of the rest of two workers' second
# (one or two percent are lost where a worker waits for the time of the other)
run() {
	local end=$1 want=$2 share=$3 status=0 ran
	shift 3
	timeout 60 "$NESTOR" run --clock virtual --insn-time 10ns --workers 2 --for 1s --slice 2ms --serial none --stats "$@" \
		"$NESTOR_BUILD/l1-child/spinlock.elf" --cpus 4 --name A --cpu-hotplug 400ms-3 "$end.elf" --cpus 4 --name B >out 2>stats </dev/null
	status=$?
	[ $status = "$want" ] || { echo "$end, $*: status $status"; tail -n 4 stats; bad=1; }
	ran=$(awk '$1 == "A" && $2 == "sched.ran_us" {print $3}' stats)
	[ -n "$ran" ] && [ "$ran" -ge "$share" ] || { echo "$end, $*: A ran $ran us of $share at least"; bad=1; }
}
for end in triple reset off debug; do
	code=0
	[ $end != triple ] || code=8
	run $end $code 1200000 --sched rr # the locked sections of B take it longer
	for sched in $([ $end = triple ] && echo credit qos+state) qos; do
		run $end $code 1550000 --sched $sched --parking
	done
done
run reset 0 850000 --sched qos --parking --reset reboot
run triple 0 850000 --sched credit --triple-fault reset --reset reboot

# The same of a child that has a real-time guest, and a reservation for it, when it ends by a VMX abort, a triple fault
# or HLT without interrupts; or leaves VMX and loops: then it has its share, and no reservation.
for end in exit abort triple hang vmxoff; do
	cat >"$end.ini" <<-EOF
		[host]
		insn-time = 10ns
		charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
		for = 3s
		[machine A]
		image = $NESTOR_BUILD/l1-child/child.elf
		append = sched=prio guest=rt,phase=1ms guest=batch
		[machine B]
		image = $NESTOR_BUILD/l1-child/child.elf
		append = sched=prio run=1204ms end=$end guest=rt,period=7ms,work=1.2ms guest=batch
		[machine C]
		image = $NESTOR_BUILD/l1-child/child.elf
		append = guest=batch guest=batch
	EOF
	timeout 60 "$NESTOR" sched-compare --no-alone --json "$end.ini" >"$end.json" 2>err || { echo "$end: status $?"; cat err; bad=1; }
	python3 - "$end" <<-'EOF' || bad=1
		import json, sys
		end = sys.argv[1]
		for p in json.load(open(end + ".json"))["policies"]:
		    a, b, c = p["machines"]
		    used, share = a["cpu_percent"] + b["cpu_percent"] + c["cpu_percent"], 100 / 3
		    stays = end == "vmxoff"
		    rest = share if stays else (100 - share * 1.204 / 3) / 2
		    shown = end, p["policy"], [(m["name"], m["cpu_percent"], m["stopped_ns"], m["missed_settled"]) for m in (a, b, c)]
		    assert used > 99.5, shown
		    assert bool(b["stopped_ns"]) != stays and (stays or 1.2e9 < b["stopped_ns"] < 1.3e9), shown
		    assert p["policy"] == "rr" or max(abs(a["cpu_percent"] - rest), abs(c["cpu_percent"] - rest)) < 1, shown
		    if p["policy"].startswith("qos"):
		        assert not a["missed_settled"] and a["jobs"] >= 200, shown
		        assert b["jobs"] >= 100 and b["guests"][0]["reservation"] in ("dropped", "none"), (shown, b["guests"][0]["reservation"])
	EOF
done
exit $bad
