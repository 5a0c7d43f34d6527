#!/usr/bin/env bash
# Under Debian's KVM in the child: how many CPUIDs of a guest a second KVM answers in its kernel, and how
# many outputs its user space takes; per second of the host's CPU time, on either engine.
. "$(dirname "$0")/../e2e/linux/lib.sh"

gcc -O1 -static -o "$work/kvm_guest" "$(dirname "$0")/kvm_guest.c" || fail 'kvm_guest.c'
# what to do comes by the command line
initrd bench "$work/kvm_guest" <<'S'
load irqbypass kvm kvm-intel
kvm_guest $(sed 's/.*bench=\([a-z]*\),\([0-9]*\).*/\1 \2/' /proc/cmdline)
poweroff -f
S

cpu_ms() { # ENGINE KIND N
	TIMEFORMAT='%U %S'
	{ time "$nestor" run --engine "$1" --memory 512M --kernel "$vmlinuz" --initrd "$work/bench.gz" \
		--append "console=ttyS0 bench=$2,$3" >"$work/out" 2>"$work/err" </dev/null; } 2>&1 |
		awk '{ printf "%d", ($1 + $2) * 1000 }'
	grep -q "$2 $3 done" "$work/out" || fail "$2: not done"
}

# The least of three runs each, in turns: the host slows down by half for a second or two now and then,
# which is as long as the boot that is taken off.
least() { # A B: B if A is empty
	[ -n "$1" ] && [ "$1" -lt "$2" ] && echo "$1" || echo "$2"
}

for engine in interp jit; do
	for kind in cpuid out; do
		n=300000
		[ $engine = interp ] || n=1000000
		[ $kind = cpuid ] || n=$((n / 3))
		start='' all=''
		for _ in 1 2 3; do
			start=$(least "$start" "$(cpu_ms $engine $kind 1)")
			all=$(least "$all" "$(cpu_ms $engine $kind $n)")
		done
		awk -v e=$engine -v k=$kind -v n=$n -v ms=$((all - start)) 'BEGIN {
			printf "KVM in the child, %-6s L2 %-5s %9.0f a second, %5.0f ns each\n", e, k, n * 1000 / ms, ms * 1e6 / n }'
	done
done
