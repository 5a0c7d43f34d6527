#!/usr/bin/env bash
# Nested round trips: an L2's CPUID or VMCALL, reflected to L1, which steps over it and resumes.
# Per second of CPU time; the start of the run is measured apart and taken off. Then what L1 does itself.
set -u
image=$NESTOR_BUILD/l1-child/rtbench.elf
rounds=${ROUNDTRIPS:-2000000}

# cpu_us ARGS: CPU time of one run in microseconds
cpu_us() {
	local t
	t=$( { TIMEFORMAT='%U %S'; time "$NESTOR" run "$@" >/dev/null 2>&1 </dev/null; } 2>&1) || true
	awk '{ printf "%d\n", ($1 + $2) * 1000000 }' <<<"$t"
}

[ -e "$image" ] || { echo "$image was not built"; exit 1; }
for kind in cpuid vmcall; do
	for how in '' --no-vmcs-shadowing; do
		start=$(cpu_us --clock virtual $how "$image" --append "bench=$kind n=1")
		all=$(cpu_us --clock virtual $how "$image" --append "bench=$kind n=$rounds")
		[ "$all" -gt "$start" ] || { echo "$kind: the run failed"; exit 1; }
		awk -v n="$rounds" -v us=$((all - start)) -v what="$kind" -v how="$how" 'BEGIN {
			printf "nested %-7s %9.0f round trips/s, %5.0f ns each  %s\n",
			       what, n * 1e6 / us, us * 1000 / n, how }'
	done
done

# The same work in L1 and in its L2; less of it, since one turn is 90,000 instructions.
turns=$((rounds / 200))
for kind in l1-work work; do
	start=$(cpu_us --clock virtual "$image" --append "bench=$kind n=1")
	all=$(cpu_us --clock virtual "$image" --append "bench=$kind n=$turns")
	[ "$all" -gt "$start" ] || { echo "$kind: the run failed"; exit 1; }
	awk -v n="$turns" -v us=$((all - start)) -v what="$([ $kind = work ] && echo L2 || echo L1)" 'BEGIN {
		printf "work in %s: %5.0f million instructions/s\n", what, n * 90002 / us }'
done

while read -r kind what; do
	start=$(cpu_us --clock virtual "$image" --append "bench=$kind n=1")
	all=$(cpu_us --clock virtual "$image" --append "bench=$kind n=$rounds")
	[ "$all" -gt "$start" ] || { echo "$kind: the run failed"; exit 1; }
	awk -v n="$rounds" -v us=$((all - start)) -v what="$what" 'BEGIN {
		printf "L1: %-36s %6.0f ns\n", what, us * 1000 / n }'
done <<'LIST'
l1-cpuid CPUID
l1-deadline write of IA32_TSC_DEADLINE
l1-eoi EOI to the local APIC, xAPIC page
l1-x2apic-eoi EOI to the local APIC, x2APIC MSR
LIST
