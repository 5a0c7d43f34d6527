#!/usr/bin/env bash
# Debian's kernel, boot and fork with exec, as L1 and as the guest of its own KVM (L2): CPU time as it is,
# and with parts of the virtual TLB left out, which is what it was before it had them. Virtual clock, so
# that every row does the same work. RUNS: best of so many (default 2).
. "$(dirname "$0")/../e2e/linux/lib.sh"

forks=200
for kind in boot fork; do
	[ $kind = boot ] && n=0 || n=$forks
	body="i=0; while [ \$i -lt $n ]; do /bin/busybox true; i=\$((i + 1)); done"
	printf '%s\npoweroff -f\n' "$body" | initrd L1.$kind
	printf '%s\nreboot -f\n' "$body" | initrd_l2 L2.$kind
done

# cpu NAME OPTIONS…: CPU milliseconds of the best run
cpu() {
	local name=$1 best= ms i
	shift
	TIMEFORMAT='%U %S'
	for ((i = 0; i < ${RUNS:-2}; i++)); do
		ms=$({ time "$nestor" run --clock virtual --stats --memory 768M --kernel "$vmlinuz" --initrd "$work/$name.gz" \
			--append console=ttyS0 "$@" >"$work/out" 2>"$work/err" </dev/null; } 2>&1 | awk '{ printf "%d", ($1 + $2) * 1000 }')
		grep -q 'Power down' "$work/out" || fail "$name $*: does not power off"
		[ -n "$best" ] && [ "$best" -le "$ms" ] || best=$ms
	done
	echo "$best"
}

row() { # NAME OPTIONS…
	local name=$1 level boot fork walks
	shift
	for level in L1 L2; do
		boot=$(cpu $level.boot "$@") || fail "$boot"
		fork=$(cpu $level.fork "$@") || fail "$fork"
		walks=$(awk '$2 == "vtlb.walks" { print $3 }' "$work/err")
		printf '%-30s %s  boot %6d ms   fork+exec %7.2f ms each   %8d walks\n' "$name" $level "$boot" \
			"$(awk "BEGIN { print ($fork - $boot) / $forks }")" "$walks"
	done
}

row 'as it is'
row 'without refresh' --vtlb-without refresh
row 'without retention' --vtlb-without retention
row 'without sharing' --vtlb-without sharing
row 'without all of these' --vtlb-without retention,sharing,refresh
row 'one lock around translations' --vtlb-without lock-free
row 'interpreter' --engine interp
