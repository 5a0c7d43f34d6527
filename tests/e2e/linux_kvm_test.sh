#!/usr/bin/env bash
# Debian's kernel as a child hypervisor: loads its KVM and runs a guest of this project's with it.
. "$(dirname "$0")/linux/lib.sh"

gcc -O1 -static -o "$work/kvm_one" "$here/kvm_one.c" || fail 'kvm_one.c'
initrd kvm "$work/kvm_one" <<'S'
load irqbypass kvm kvm-intel && kvm_one
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
boot kvm </dev/null
expect kvm '^4$' 'the guest of the guest halted'
expect_no_warnings kvm
