#!/usr/bin/env bash
# Debian's kernel with a guest of its KVM at limits of the virtual TLB from next to nothing: it walks oftener, and
# everything works; a hypervisor and its guest by turns keep what their soft TLBs hold. (Where the kernel lies at random,
# a pool of 13 SPTs takes from 5 to 16 times the walks; here it lies always at the same place, 8 times. Without what soft
# TLBs keep it takes 13 times.) Larger runs: the table in docs/vtlb.md, by tests/long/vtlb_memory.sh.
. "$(dirname "$0")/linux/lib.sh"

gcc -O1 -static -o "$work/kvm_one" "$here/kvm_one.c" || fail kvm_one.c
initrd kvm "$work/kvm_one" <<'S'
load irqbypass kvm kvm-intel && kvm_one
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
for memory in 64K 1M; do
	boot kvm --clock virtual --vtlb-memory $memory --cpus 2 --append "console=ttyS0 nokaslr" --stats </dev/null
	expect $memory '^4$' 'the guest of the guest halted'
	expect_no_warnings $memory
	walks[${memory%?}]=$(awk '$2 == "vtlb.walks" { print $3 }' "$work/err")
	awk -v m=$memory '$2 == "vtlb.spts_limit" { limit = $3 } $2 == "vtlb.spts_used" { used = $3 }
		$2 == "vtlb.spt_evictions" { evictions = $3 }
		END { exit !(used <= limit && (m == "1M" || evictions > 1000)) }' "$work/err" || fail "$memory: not at its limit"
done
[ "${walks[64]}" -lt $((11 * walks[1])) ] || fail "64K: ${walks[64]} walks, 1M: ${walks[1]}"
