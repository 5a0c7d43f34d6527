#!/usr/bin/env bash
# Stock gdb on the guests of a child: threads by name, registers, memory through an EPT that is not one to
# one, steps, stops at VM exits, VMPTRLD, entries and failed entries; with one worker and with several;
# the same at level 3.
set -u
command -v gdb >/dev/null || { echo "SKIP gdb is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap '[ -n "$pid" ] && kill $pid 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
pid=
l1=$NESTOR_BUILD/l1-child

fail() {
	echo "$*"
	tail -n 40 gdb.out err
	bad=1
}
says() { grep -Eq -- "$1" gdb.out || fail "gdb did not say '$1'"; }
# start OPTIONS…: a free loopback port: ask for one until nestor can have it
start() {
	for _ in $(seq 20); do
		port=$((20000 + RANDOM % 20000))
		"$NESTOR" run --timeout $((60 * ${NESTOR_PATIENCE:-1}))s --serial none -o "$work/out" --gdb $port "$@" >out.txt 2>err </dev/null &
		pid=$!
		for _ in $(seq 100); do
			grep -q 'waiting for gdb' err && return 0
			kill -0 $pid 2>/dev/null || break
			sleep 0.05
		done
	done
	fail "nestor does not wait for gdb"
	exit 1
}
# debug COMMAND…
debug() {
	local args=()
	for c in "$@"; do args+=(-ex "$c"); done
	timeout 60 gdb -nx -q -batch -ex 'set confirm off' -ex 'set architecture i386:x86-64' \
		-ex "target remote 127.0.0.1:$port" "${args[@]}" -ex kill >gdb.out 2>&1
	kill $pid
	wait $pid
	pid=
}

# the first instructions of the guest's image, as they lie in its file
head=$(od -An -tx1 -N4 "$l1/guest-rt-64.bin" | tr -d ' \n')
little=0x${head:6:2}${head:4:2}${head:2:2}${head:0:2}

for how in '--clock virtual' '--clock host --workers 2'; do
	start $how --cpus 2 "$l1/child64.elf" --append 'guest=rt guest=batch'
	# the first entry comes before all else: which guest halts first is a matter of time under the host's clock
	# the step leads to the guest's call of its main function
	debug 'monitor help' 'monitor break nonsense' 'monitor break entry' 'continue' 'monitor delete' \
		'printf "entry %#lx\n", $rip' 'stepi' 'printf "step %#lx\n", $rip' 'printf "live rax "' 'output $rax' 'printf "\n"' 'info threads' \
		'set $main = $rip + 5 + *(int *)($rip + 1)' 'break *$main' 'continue' \
		'printf "call %d\n", $rip == $main' 'delete' 'monitor break exit HLT level 2' 'monitor breaks' 'continue' \
		'info threads' 'printf "exit at %#lx\n", $rip' 'printf "there %#x\n", *(unsigned char *)$rip' \
		'printf "image %#x\n", *(unsigned *)0x100000' 'printf "rax "' 'output $rax' 'printf "\n"' \
		'monitor vmcs ept_pointer' 'thread 1' 'printf "host image %#x\n", *(unsigned *)0x100000' \
		'monitor delete' 'monitor break vmptrld' 'continue'
	says 'a VM entry that fails a check'
	says 'break what\? see monitor help'
	says '1: exit HLT level 2'
	says 'VM exit HLT at rip 0x100[0-9a-f]+, .*to its VMM'
	says 'child64 child 0\.0 vcpu 0, level 2, vmcs 0x[0-9a-f]+\)'
	says 'child64 processor 1'
	says 'there 0xf4' # the HLT itself, through the guest's tables and its EPT
	says "^image $little\$"
	grep -q "^host image $little\$" gdb.out && fail "the EPT maps one to one: the test shows nothing"
	says 'rax <unavailable>'
	says 'entry 0x100000'
	says 'step 0x10000[1-9]'
	says '^call 1$'
	says 'live rax [0-9]'
	says 'on processor [01]\)'
	says 'VMPTRLD of vmcs 0x'
done

start --clock virtual "$NESTOR_BUILD/tests/nested/vmx.elf" --append entry
debug 'monitor break failed-entry' 'continue' 'monitor delete' 'monitor break vmfail' 'continue' \
	'monitor delete' 'monitor break entry' 'continue' 'info threads'
says 'VM entry with vmcs 0x[0-9a-f]+ fails: check PIN_RESERVED: .* would pass; written at 0x'
says 'VMLAUNCH at rip 0x[0-9a-f]+ fails, error 7: VM entry with invalid control fields'
says 'VM entry with vmcs 0x[0-9a-f]+ at rip 0x'

# Three levels: each has other memory at the same address, none of it mapped one to one (deep/deep.h).
deep=$NESTOR_BUILD/tests/nested/vmxdeep.elf
at() { nm "$deep" | awk -v n="$1" '$3 == n { print "0x" $1 }'; }
l2_magic=$((0x7000 + $(at l2_blob_end) - $(at l2_blob) - 8))
l3_magic=$((0x7000 + $(at l3_blob_end) - $(at l3_blob) - 8))
for engine in jit interp; do
	start --clock virtual --engine $engine "$deep" --append 'n=1000000 bad=50'
	debug 'monitor break exit VMCALL level 3' 'continue' 'info threads' \
		"printf \"l3 %#lx\\n\", *(unsigned long *)$l3_magic" \
		'printf "there %#x\n", *(unsigned *)$rip & 0xffffff' \
		'printf "cell %lu\n", *(unsigned long *)0x8000' 'set var *(unsigned long *)0x8000 = 1000' \
		'continue' 'printf "cell %lu\n", *(unsigned long *)0x8000' \
		'printf "unmapped "' 'output *(int *)0x1000' 'printf "\n"' \
		'thread 3' "printf \"l2 %#lx\\n\", *(unsigned long *)$l2_magic" \
		'printf "saw %lu\n", *(unsigned long *)0x6000' 'printf "l2 rip %#lx\n", $rip' \
		'thread 1' "printf \"l1 %#lx\\n\", *(unsigned long *)$(at l3_blob)" 'printf "l1 rip %#lx\n", $rip' \
		'monitor delete' 'break *0x7008' 'continue' 'info threads' 'printf "at %#lx\n", $rip' 'stepi' \
		'printf "then %#lx, rax %lu\n", $rip, $rax' 'set var $rax = 5000' \
		'delete' 'monitor break exit VMCALL level 3' 'continue' \
		'printf "cell %lu\n", *(unsigned long *)0x8000' \
		'monitor delete' 'monitor break vmptrld' 'continue' 'monitor delete' \
		'monitor break entry' 'continue' 'monitor delete' 'monitor break failed-entry' 'continue' 'info threads'
	says 'VM exit VMCALL at rip 0x7013, .*to its VMM'
	says 'vmxdeep child 0\.0 vcpu 0, level 2, vmcs 0x[0-9a-f]+'
	says 'vmxdeep child 0\.1 vcpu 0, level 3, vmcs 0x[0-9a-f]+'
	says '^l3 0x4c334c334c334c33$'
	says '^there 0xc1010f$' # VMCALL
	says '^cell 1$'
	says '^cell 1001$' # what gdb wrote, plus one
	says 'Cannot access memory at address 0x1000'
	says '^l2 0x4c324c324c324c32$'
	says '^saw 1$'
	says '^l2 rip 0x70[0-9a-f]+$'
	says '^l1 rip 0x1[0-9a-f]{5}$'
	says '\* 2 .*level 3'
	says '^at 0x7008$'
	says '^then 0x700b, rax 1002$'
	says '^cell 5000$'
	says 'VMPTRLD of vmcs 0x'
	says 'VM entry with vmcs 0x[0-9a-f]+ fails: check GUEST_RIP_CANONICAL'
done
exit $bad
