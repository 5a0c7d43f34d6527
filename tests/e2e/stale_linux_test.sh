#!/usr/bin/env bash
# Debian's kernel forgets nothing: with a guest of its own KVM it runs under --detect-stale without a report,
# and in the modes that keep no translation, or each as long as the architecture allows.
. "$(dirname "$0")/linux/lib.sh"

gcc -O1 -static -o "$work/kvm_one" "$here/kvm_one.c" || fail kvm_one.c
initrd kvm "$work/kvm_one" <<'S'
load irqbypass kvm kvm-intel
mkdir /tmp; for i in 1 2 3 4 5 6; do ls -lR /m /proc/self >/tmp/$i & done; wait
kvm_one
poweroff -f
S

ways=('--clock virtual --detect-stale --cpus 2' '--clock virtual --tlb=strict --cpus 1'
	'--clock virtual --tlb=adversarial --vtlb-memory 256K --cpus 2' '--clock host --workers 2 --tlb=strict --cpus 2')
[ -z "${NESTOR_LONG:-}" ] || ways+=('--clock host --workers 2 --detect-stale --cpus 2' '--clock host --workers 2 --tlb=adversarial --cpus 2'
	'--clock virtual --tlb=strict --cpus 2' '--clock virtual --detect-stale --cpus 2 --engine interp')
for how in "${ways[@]}"; do
	boot kvm $how --stats </dev/null
	expect "$how" '^4$' 'the guest of the guest halted'
	grep -q 'stale translation used' "$work/err" && { cat "$work/err"; fail "$how: a correct kernel is accused"; }
done
exit 0
