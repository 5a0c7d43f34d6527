#!/usr/bin/env bash
# Children that misbehave: each stops with one clear line and a dump, its machine alone; another child
# beside it goes on to its end.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

fail() {
	echo "$*"
	cat out err
	bad=1
}

# image NAME: assembly from standard input, entered by multiboot 1 in 32-bit protected mode
image() {
	{
		printf '.section .multiboot, "a"\n.long 0x1badb002, 0, -0x1badb002\n.text\n.code32\n.globl _start\n_start:\n'
		cat
	} >"$1.s"
	as --32 -o "$1.o" "$1.s" && ld -m elf_i386 -N -Ttext 0x110000 --no-warn-rwx-segments -o "$1.elf" "$1.o" || exit 1
}

image triple <<'S'
	lidt	idt
	int3
idt:	.word	0
	.long	0
S
image nowhere <<'S'
	mov	$0xfe000000, %eax
	jmp	*%eax
S
image halted <<'S'
	cli
	hlt
S
image pagefault <<'S'
	mov	$0x200000, %eax		# an empty page directory
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	nop
S
image forever <<'S'
	mov	$0x3f8, %dx
	mov	$'x', %al
	outb	%al, %dx
1:	jmp	1b
S
image novmx <<'S'
	vmcall				# VMX is off
S

run() {
	timeout 60 "$NESTOR" run --clock virtual "$@" >out 2>err </dev/null
}

for guest in triple nowhere pagefault novmx; do
	run --for 10ms $guest.elf
	status=$?
	[ $status = 8 ] || fail "$guest: status $status, not 8"
	grep -qi 'triple fault' err || fail "$guest: no word of a triple fault"
	grep -q '^nestor: ' err || fail "$guest: no line from nestor"
	grep -qi 'rip' err && grep -qi 'cr0' err || fail "$guest: no dump"
done

run halted.elf
status=$?
[ $status = 8 ] || fail "halted for ever: status $status, not 8"
grep -q 'nothing is left that could wake' err || fail "halted: the reason is missing"

run --for 5ms forever.elf
status=$?
[ $status = 0 ] || fail "--for: status $status, not 0"
timeout 60 "$NESTOR" run --clock virtual --timeout 200ms forever.elf >out 2>err </dev/null
status=$?
[ $status = 124 ] || fail "--timeout: status $status, not 124"

# The neighbour goes on.
run triple.elf --name bad --serial none "$NESTOR_BUILD/l1-child/child.elf" --name good --serial good.serial \
	--append 'guest=batch run=20ms'
status=$?
[ $status = 8 ] || fail "with a neighbour: status $status, not 8"
grep -q 'l1: ran 20 ms' good.serial || { cat good.serial; fail "the neighbour did not get to its end"; }

# Ctrl-C ends a run that would not end.
"$NESTOR" run forever.elf >out 2>err </dev/null &
pid=$!
for _ in $(seq 200); do
	[ -s out ] && break
	sleep 0.05
done
kill -INT $pid
wait $pid
status=$?
[ $status = 130 ] || fail "SIGINT: status $status, not 130"
exit $bad
