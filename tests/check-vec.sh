#!/bin/sh
# check-vec.sh OBJDIR OBJECT... - objects between exit and re-entry must not reach libc's copies,
# fills and compares: those use vector registers, where a guest's state is live.
root=$1
shift
bad=0
for o in "$@"; do
	[ -e "$o" ] || continue
	used=$(nm -u "$o" | awk '$2 ~ /^(__)?(mem(cpy|move|set|cmp|chr)|str(len|cmp|ncmp|cpy|chr|cat)|bcmp)(_chk)?$/ {printf " %s", $2}')
	case $o in "$root"/l0/base/*) continue ;; esac # cold paths, guarded by vecguard
	if [ -n "$used" ]; then
		echo "check-vec: ${o#"$root"/} calls$used; use l0/base/mem_ops.h, or a _cold.c file"
		bad=1
	fi
	# A handler that calls the next operation (op[1].fn) instead of jumping to it grows the stack.
	case $o in "$root"/l0/engine/*)
		grown=$(objdump -d --no-show-raw-insn "$o" |
			awk '/^[0-9a-f]+ </ {f = $2} /call +\*0x40\(/ {printf " %s", f}')
		if [ -n "$grown" ]; then
			echo "check-vec: ${o#"$root"/}$grown does not end in a sibling call"
			bad=1
		fi ;;
	esac
done
exit $bad
