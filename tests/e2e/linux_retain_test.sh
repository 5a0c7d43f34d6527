#!/usr/bin/env bash
# Debian's kernel with processors on several threads and page tables under guard (retention over loads of
# CR3): processes come and go on all processors, share and copy memory, and compute what they should.
. "$(dirname "$0")/linux/lib.sh"

initrd retain <<'S'
work() {
	n=0
	while [ $n -lt 12 ]; do
		seq 1 400 >/tmp.$1; sort -rn /tmp.$1 | head -n 1 | grep -q '^400$' || echo "wrong in $1"
		[ "$(ls / | cat | wc -l)" -gt 5 ] || echo "wrong in $1"
		n=$((n + 1))
	done
	echo "done $1"
}
for i in 1 2 3 4; do work $i & done
wait
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
boot retain --cpus 3 --clock host --workers 3 --stats </dev/null
expect 'three workers' 'done 1' 'done 2' 'done 3' 'done 4'
grep -q 'wrong in' "$work/out.txt" && fail 'a process computed something else'
expect_no_warnings 'three workers'
awk '$2 == "vtlb.gpt_writes" { exit !($3 > 0) }' "$work/err" || fail 'no table was tracked'
