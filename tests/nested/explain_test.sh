#!/usr/bin/env bash
# nestor explain: fields in by name and by encoding, failing checks out by group.
set -u
status=0
# expect STATUS INPUT TEXT…: each TEXT is in the output
expect() {
	local want=$1 input=$2 out code text
	shift 2
	out=$(printf '%b' "$input" | "$NESTOR" explain --vmcs - 2>&1)
	code=$?
	[ $code = "$want" ] || { echo "status $code, not $want, for: $input"; status=1; }
	for text in "$@"; do
		grep -qF "$text" <<<"$out" || { echo "not seen: $text"; echo "$out"; status=1; }
	done
}

good='0x4000 16 0x4002 8400e172 0x401e a2 0x400c 236fff 0x4012 93fb vpid 1 ept_pointer 10001e
host_cr0 80010031 host_cr4 2020 host_cr3 4000 host_cs_selector 28 host_tr_selector 48
host_ia32_efer 500 host_rip 9000\nguest_cr0 80010031 guest_cr4 2020 guest_cr3 4000 guest_ia32_efer 500
guest_rflags 2 guest_rip 8000 guest_cs_selector 8 guest_cs_ar_bytes a09b guest_cs_limit ffffffff
guest_ss_ar_bytes 10000 guest_ds_ar_bytes 10000 guest_es_ar_bytes 10000 guest_fs_ar_bytes 10000
guest_gs_ar_bytes 10000 guest_ldtr_ar_bytes 10000 guest_tr_ar_bytes 8b guest_tr_limit 67\n'
expect 0 "$good" 'no check fails'
expect 8 "$good host_cr3 = 0x4000000000000" 'VM-instruction error 8' 'HOST_CR3: host_cr3 = 0x4000000000000'
expect 8 "$good pin_based_vm_exec_control: 2" 'VM-instruction error 7' 'that must be 1: 0x14, that must be 0: 0x0' \
	'VM-Execution Control Fields'
expect 8 "$good vpid 0\nguest_rip 8000000000000000" 'VPID_ZERO' 'GUEST_RIP_CANONICAL' '(not reached'
expect 10 'nothing here' 'no field of a VMCS'
"$NESTOR" explain --vmcs /nonexistent 2>/dev/null
[ $? = 6 ] || { echo "a missing file is not status 6"; status=1; }
exit $status
