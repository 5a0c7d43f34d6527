#!/usr/bin/env bash
# tests/long/vtlb_memory.sh - Debian, and Debian as a guest of its own KVM, at limits of the virtual TLB's memory
# from 64 KiB on: everything works at each, with more walks. Prints what docs/vtlb.md has as a table.
# SIZES and KINDS (L1, L2) choose; says SKIP when Debian's packages cannot be had.
. "$(dirname "$0")/../e2e/linux/lib.sh"

forks='i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i + 1)); done'
printf '%s\npoweroff -f\n' "$forks" | initrd L1
printf '%s\nreboot -f\n' "$forks" | initrd_l2 L2
for kind in ${KINDS:-L1 L2}; do
	for size in ${SIZES:-64K 128K 256K 512K 1M 4M 16M 4G}; do
		TIMEFORMAT='%U'
		cpu=$({ time "$nestor" run --clock virtual --stats --vtlb-memory "$size" --memory 768M --kernel "$vmlinuz" \
			--initrd "$work/$kind.gz" --append console=ttyS0 >"$work/out" 2>"$work/err" </dev/null; } 2>&1)
		cp "$work/out" "$work/out.txt"
		grep -q 'reboot: Power down' "$work/out" || fail "$kind, $size: no end"
		[ $kind = L1 ] || grep -q 'L2 reset after' "$work/out" || fail "$kind, $size: the inner guest did not end"
		awk -v what="ok $kind $size" -v cpu="$cpu" '$2 ~ /^vtlb\.(spts_limit|walks|spt_evictions|sas_evictions)$/ { v[$2] = $3 }
			END { printf "%s: %d SPTs, %d walks, evicted %d SPTs and %d address spaces, %s s of CPU time\n", what,
				v["vtlb.spts_limit"], v["vtlb.walks"], v["vtlb.spt_evictions"], v["vtlb.sas_evictions"], cpu }' "$work/err"
	done
done
