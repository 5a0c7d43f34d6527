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
exit $bad
