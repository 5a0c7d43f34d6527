#!/usr/bin/env bash
# Debian's kernel: CPU seconds from power-on to user space and off again, for 100 × fork and exec, and
# for a loop in the shell, on either engine and on QEMU's TCG where Debian's qemu-system-x86 is
# installed (it is no package of this project). Best of three; each in one run with the others.
. "$(dirname "$0")/../e2e/linux/lib.sh"

initrd boot <<'S'
echo user space
poweroff -f
S
initrd fork <<'S'
i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i + 1)); done
poweroff -f
S
initrd loop <<'S'
i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done
poweroff -f
S

# cpu COMMAND…: CPU milliseconds of the best of three runs that power off
cpu() {
	local best= ms i
	TIMEFORMAT='%U %S'
	for i in 1 2 3; do
		ms=$({ time "$@" >"$work/out" 2>"$work/err" </dev/null; } 2>&1 | awk '{ printf "%d", ($1 + $2) * 1000 }')
		grep -q 'Power down' "$work/out" || fail "$1: does not power off"
		[ -n "$best" ] && [ "$best" -le "$ms" ] || best=$ms
	done
	echo "$best"
}

on_nestor() { "$nestor" run --engine "$1" --memory 512M --kernel "$vmlinuz" --initrd "$work/$2.gz" --append console=ttyS0; }
on_tcg() {
	qemu-system-x86_64 -accel tcg -machine q35 -cpu max -m 512M -display none -serial stdio -no-reboot \
		-kernel "$vmlinuz" -initrd "$work/$1.gz" -append console=ttyS0
}

row() { # NAME COMMAND…
	local name=$1 boot
	shift
	boot=$(cpu "$@" boot)
	printf '%-16s boot %5d ms   100 fork+exec %5d ms   shell loop %5d ms\n' "$name" "$boot" \
		$(($(cpu "$@" fork) - boot)) $(($(cpu "$@" loop) - boot))
}

row 'nestor interp' on_nestor interp
row 'nestor jit' on_nestor jit
if command -v qemu-system-x86_64 >/dev/null; then
	row 'QEMU TCG' on_tcg
else
	echo 'QEMU TCG         SKIP: qemu-system-x86 is not installed'
fi
