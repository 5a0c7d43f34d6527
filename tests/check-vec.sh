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
done
exit $bad
