#!/usr/bin/env bash
# Names for Debian's kernel, whose base address is random: its own list of symbols, taken from a boot
# without KASLR, names addresses of a boot with it, by the slide that nestor finds.
. "$(dirname "$0")/linux/lib.sh"

initrd list <<'S'
echo 0 >/proc/sys/kernel/kptr_restrict
virtio
cat /proc/kallsyms >/list
cat /list >/dev/vda
echo "lines: $(wc -l </list)"
poweroff -f
S
initrd plain <<'S'
virtio
echo 0 >/proc/sys/kernel/kptr_restrict
echo "here: $(grep -m 1 ' io_serial_in$' /proc/kallsyms)"
dd if=/dev/port of=/dev/null bs=1 count=1 skip=1000 2>/dev/null
poweroff -f
S

truncate -s 32M "$work/disk"
boot list --append 'console=ttyS0 nokaslr' --disk "$work/disk" </dev/null
expect list 'lines: [0-9]*'
head -n "$(sed -n 's/^lines: //p' "$work/out.txt")" "$work/disk" | grep -v '\[' >"$work/kallsyms"
[ "$(wc -l <"$work/kallsyms")" -gt 50000 ] || fail "the list has $(wc -l <"$work/kallsyms") lines"

boot plain --symbols "$work/kallsyms" </dev/null
expect 'with symbols'
linked=$(grep -m 1 ' io_serial_in$' "$work/kallsyms" | cut -d ' ' -f 1)
here=$(sed -n 's/^here: \([0-9a-f]*\).*/\1/p' "$work/out.txt")
[ -n "$here" ] && [ "$here" != "$linked" ] || fail "no slide: $here and $linked"
grep -q 'nothing is there' "$work/err" || fail 'no report'
grep 'nothing is there' "$work/err" | grep -q 'in io_serial_in+0x' || fail "no names: $(head -n 3 "$work/err")"
grep -c 'from MSR .*in .*: there is none, #GP' "$work/err" >"$work/n"
[ "$(cat "$work/n")" -ge 1 ] || fail 'no report of an MSR'
[ "$(grep 'MSR' "$work/err" | sed 's/,.*//' | sort | uniq -d | wc -l)" = 0 ] || fail 'an MSR is reported twice'
