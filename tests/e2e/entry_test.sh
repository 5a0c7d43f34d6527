#!/usr/bin/env bash
# A Linux kernel's three entries, by an image in bzImage form: its setup code in real mode uses the BIOS
# calls that there are; each protected-mode entry says which one it is. Modules reach a multiboot image.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }

cat >"$work/k.S" <<'S'
	.code16
	.org 0x1f1
	.byte 1			# setup sectors
	.word 0
	.long 0x40		# 1 KiB of protected-mode code
	.org 0x1fe
	.word 0xaa55
	jmp setup
	.ascii "HdrS"
	.word 0x020c
	.org 0x210
	.byte 0, 1, 0, 0	# loader, LOADED_HIGH
		.long 0x100000
	.long 0, 0, 0
	.org 0x224
	.word 0, 0
	.long 0, 0x7fffffff, 0x1000
	.org 0x236
	.word 1			# there is a 64-bit entry
	.long 255
	.org 0x258
	.quad 0x100000
	.long 0x1000
	.org 0x280
setup:	movw %ds, %ax
	movw %ss, %bx
	cmpw %ax, %bx
	jne bad
	cmpw $0, 0x224
	je bad
	cld
	xorl %ebx, %ebx
	xorw %bp, %bp		# ranges of RAM
1:	movl $0xe820, %eax
	movl $0x534d4150, %edx
	movl $20, %ecx
	movw $0x1000, %di
	int $0x15
	jc bad
	cmpl $0x534d4150, %eax
	jne bad
	cmpl $20, %ecx
	jne bad
	cmpl $1, 0x1010
	jne 2f
	incw %bp
	movl 0x1000, %esi	# end of the last one
	addl 0x1008, %esi
2:	testl %ebx, %ebx
	jnz 1b
	cmpw $2, %bp
	jne bad
	cmpl $0x4000000, %esi
	jne bad
	movw $0x4f00, %ax	# no VESA, no other service
	int $0x10
	cmpw $0x4f00, %ax
	jne bad
	movw $0xe801, %ax
	int $0x15
	jnc bad
	int $0x13
	jnc bad
	movl 0x228, %eax
	movw %ax, %si
	andw $15, %si
	shrl $4, %eax
	movw %ax, %es
3:	movb %es:(%si), %al
	incw %si
	testb %al, %al
	jz 4f
	movb $0x0e, %ah
	int $0x10
	jmp 3b
4:	movb $1, %al
	outb %al, $0xf4
bad:	movb $9, %al
	outb %al, $0xf4
	.org 0x400
	.code32
	movb $2, %al		# the 32-bit entry
	outb %al, $0xf4
	.org 0x600
	.code64
	movb $3, %al		# the 64-bit one
	outb %al, $0xf4
	.org 0x800
S
as --64 -o "$work/k.o" "$work/k.S" && objcopy -O binary -j .text "$work/k.o" "$work/k" || fail 'no image'

run() { timeout 20 "$NESTOR" run --clock virtual --memory 64M "$@" >"$work/out" 2>"$work/err" </dev/null; }
entry() { # STATUS OPTIONS…
	local expected=$1
	shift
	run "$@" "$work/k"
	local status=$?
	[ $status = "$expected" ] || fail "$*: status $status: $(cat "$work/err")"
}
entry 3 --entry 16 --append 'hello real mode'
[ "$(cat "$work/out")" = 'hello real mode' ] || fail "the setup code wrote: $(cat "$work/out")"
entry 5 --entry 32
entry 7 --entry 64
entry 7

refused() { # PATTERN OPTIONS…
	local pattern=$1
	shift
	run "$@" && fail "$*: runs"
	[ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$pattern" "$work/err" || fail "$*: $(cat "$work/err")"
}
guest=$NESTOR_BUILD/tests/guests/long64.elf
refused 'takes no modules' "$work/k" --module "$work/k.S"
refused 'entry cannot be chosen' --entry 16 "$guest"
refused 'none of: 16, 32, 64' --entry 8 "$guest"
refused 'cannot be opened' --module '/nowhere some text' "$guest"
refused 'starts in its firmware' --firmware "$work/k" --append x
run --module "$work/k.S a b c" "$guest" --module "$work/k"
[ $? = 1 ] || fail "with modules: $(cat "$work/err")"
