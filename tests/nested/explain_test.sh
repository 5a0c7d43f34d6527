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

# From a trace, and while it happens: the VMX test's own bad VMCSs.
image=$NESTOR_BUILD/tests/nested/vmx.elf
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
says() { # FILE TEXT…: extended regular expressions, each on a line of it
	local file=$1 text
	shift
	for text in "$@"; do
		grep -qE "$text" "$file" || { echo "$file does not say: $text"; head -n 20 "$file"; status=1; }
	done
}
"$NESTOR" run --clock virtual --explain "$image" --append 'entry vmptrld' >/dev/null 2>"$work/live" </dev/null
says "$work/live" 'VM entry at rip 0x[0-9a-f]+ with vmcs 0x[0-9a-f]+ failed' \
	'check PIN_RESERVED: .* 0x[0-9a-f]+ would pass; written at rip 0x[0-9a-f]+ by cpu 0, [0-9]+ ns ago'
if command -v lttng-sessiond >/dev/null; then
	"$NESTOR" record --clock virtual --symbols "$image" -o "$work/t" "$image" >/dev/null 2>&1 </dev/null
	"$NESTOR" explain "$work/t" >"$work/out" 2>&1
	[ $? = 8 ] || { echo "a trace with failures is not status 8"; status=1; }
	says "$work/out" '\(vmxt_vmenter\+0x[0-9a-f]+\): VMLAUNCH 0x[0-9a-f]+ fails: VMfailValid, VM-instruction error 7' \
		'^  check PIN_RESERVED: pin_based_vm_exec_control = .*SDM 3C "VM-Execution Control Fields"' \
		'^    written at 0x[0-9a-f]+ \(reserved_controls\+0x[0-9a-f]+\) by vmx, [0-9]+ ns before' \
		'^    or [a-z0-9_]+ = 0x[0-9a-f]+ instead of 0x[0-9a-f]+: written' \
		'exit reason 0x80000021 \(INVALID_GUEST_STATE\)' \
		'exit reason 0x80000022 \(MSR_LOADING\)' \
		'^    entry 2, at 0x[0-9a-f]+: MSR 0xc0000100 \(IA32_FS_BASE' \
		'^    saved by the VM exit at guest RIP' \
		'error 11: VMPTRLD of a region' 'it begins with 0x[0-9a-f]+, IA32_VMX_BASIC says'
	! grep -q 'its writer was not recorded' "$work/out" || { echo "a writer is missing"; status=1; }
	"$NESTOR" explain --all "$work/t" | grep -q 'not shown' && { echo "--all hides something"; status=1; }
	"$NESTOR" record --clock virtual -o "$work/good" "$NESTOR_BUILD/l1-child/hello.elf" >/dev/null 2>&1 </dev/null
	"$NESTOR" explain "$work/good" >"$work/out" 2>&1 || { echo "a good trace is not status 0"; status=1; }
	says "$work/out" 'no VM entry and no VMX instruction failed'
fi
"$NESTOR" explain 2>/dev/null
[ $? = 2 ] || { echo "no trace and no file is not status 2"; status=1; }
exit $status
