#!/usr/bin/env bash
# Debian's kernel, boot and fork with exec, as L1 and as the guest of its own KVM (L2): CPU time as it is,
# and with parts of the virtual TLB left out, which is what it was before it had them. Virtual clock, so
# that every row does the same work. The rows take turns, RUNS rounds of them (default 3), so that other load
# meets all of them, and the least CPU time of each counts. LEVELS (L1, L2) and ROWS (a pattern of names) choose.
. "$(dirname "$0")/../e2e/linux/lib.sh"

forks=200
for kind in boot fork; do
	[ $kind = boot ] && n=0 || n=$forks
	body="i=0; while [ \$i -lt $n ]; do /bin/busybox true; i=\$((i + 1)); done"
	printf '%s\npoweroff -f\n' "$body" | initrd L1.$kind
	printf '%s\nreboot -f\n' "$body" | initrd_l2 L2.$kind
done

names=() options=()
row() { # NAME OPTIONS…
	[[ $1 =~ ${ROWS:-.} ]] || return 0
	names+=("$1")
	shift
	options+=("$*")
}
row 'as it is'
row 'without refresh' --vtlb-without refresh
row 'without retention' --vtlb-without retention
row 'without sharing' --vtlb-without sharing
row 'without all of these' --vtlb-without retention,sharing,refresh
row 'one lock around translations' --vtlb-without lock-free
row 'interpreter' --engine interp

declare -A least walks
# measure KEY IMAGE OPTIONS…: CPU milliseconds into least[KEY], if it is the least so far
measure() {
	local key=$1 image=$2 ms TIMEFORMAT='%U %S'
	shift 2
	ms=$({ time "$nestor" run --clock virtual --stats --memory 768M --kernel "$vmlinuz" --initrd "$work/$image.gz" \
		--append console=ttyS0 "$@" >"$work/out" 2>"$work/err" </dev/null; } 2>&1 | awk '{ printf "%d", ($1 + $2) * 1000 }')
	grep -q 'Power down' "$work/out" || fail "$image $*: does not power off"
	walks[$key]=$(awk '$2 == "vtlb.walks" { print $3 }' "$work/err")
	[ "${least[$key]:-999999999}" -le "$ms" ] || least[$key]=$ms
}

levels=${LEVELS:-L1 L2}
for ((round = 0; round < ${RUNS:-3}; round++)); do
	for level in $levels; do
		for i in "${!names[@]}"; do
			for kind in boot fork; do
				# shellcheck disable=SC2086 # options are words
				measure "$i.$level.$kind" "$level.$kind" ${options[i]}
			done
		done
	done
done
for level in $levels; do
	for i in "${!names[@]}"; do
		boot=${least[$i.$level.boot]} fork=${least[$i.$level.fork]}
		printf '%-30s %s  boot %6d ms   fork+exec %7.2f ms each   %8d walks\n' "${names[i]}" "$level" "$boot" \
			"$(awk "BEGIN { print ($fork - $boot) / $forks }")" "${walks[$i.$level.fork]}"
	done
done
