#!/usr/bin/env bash
# Stock gdb on a child: registers, memory, breakpoints, watchpoints, steps, threads, a triple fault.
set -u
command -v gdb >/dev/null || { echo "SKIP gdb is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'kill $pid 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
pid=

fail() {
	echo "$*"
	cat gdb.out err
	bad=1
}

{
	printf '.section .multiboot, "a"\n.long 0x1badb002, 0, -0x1badb002\n.text\n.code32\n.globl _start\n_start:\n'
	cat <<'S'
	mov	$0x11223344, %eax
	mov	$5, %ecx
again:	add	%ecx, counter
	loop	again
	movl	$0xcafe, counter
after:	lidt	idt
	int3
	.data
	.globl	counter
counter: .long	0
idt:	.word	0
	.long	0
S
} >guest.s
as --32 -g -o guest.o guest.s && ld -m elf_i386 -N -Ttext 0x110000 --no-warn-rwx-segments -o guest.elf guest.o || exit 1

# a free loopback port: ask for one until nestor can have it
start() {
	for _ in $(seq 20); do
		port=$((20000 + RANDOM % 20000))
		"$NESTOR" run --clock virtual --cpus 2 --gdb $port guest.elf >out 2>err </dev/null &
		pid=$!
		for _ in $(seq 100); do
			grep -q 'waiting for gdb' err && return 0
			kill -0 $pid 2>/dev/null || break
			sleep 0.05
		done
	done
	return 1
}

start || { fail "nestor does not wait for gdb"; exit 1; }
sym() { nm guest.elf | awk -v n="$1" '$3 == n {print "0x" $1}'; }
timeout 60 gdb -nx -q -batch -ex 'set confirm off' -ex 'set architecture i386:x86-64' \
	-ex "target remote 127.0.0.1:$port" \
	-ex 'info threads' \
	-ex 'printf "start %#lx\n", $rip' \
	-ex 'stepi' -ex 'printf "eax %#lx\n", $rax' \
	-ex "break *$(sym again)" -ex 'continue' -ex 'printf "first ecx %ld\n", $rcx' \
	-ex 'continue' -ex 'printf "second ecx %ld\n", $rcx' \
	-ex 'delete' -ex "watch *(int *)$(sym counter) if *(int *)$(sym counter) == 0xcafe" -ex 'continue' \
	-ex "printf \"watched rip %#lx\\n\", \$rip" \
	-ex "set var *(int *)$(sym counter) = 0x77" -ex "x/wx $(sym counter)" \
	-ex 'set var $rbx = 0x1234' -ex 'printf "rbx %#lx cr0 %#lx\n", $rbx, $cr0' \
	-ex 'delete' -ex 'continue' -ex 'printf "end rip %#lx\n", $rip' -ex 'kill' >gdb.out 2>&1

says() { grep -q -- "$1" gdb.out || fail "gdb did not say '$1'"; }
says 'guest processor 0'
says 'guest processor 1'
says 'start 0x110000'
says 'eax 0x11223344'
says 'first ecx 5'
says 'second ecx 4'
says "watched rip $(printf %#x $(sym after))"
says '0x00000077'
says 'rbx 0x1234'
says 'SIGSEGV'
wait $pid
status=$?
pid=
[ $status = 8 ] || fail "nestor ended with $status, not 8"
exit $bad
