#!/bin/bash
# check-headers.sh HEADER... - each header compiles alone, and its guard is its path in capitals.
set -u
bad=0
for h in "$@"; do
	guard=$(echo "${h^^}" | tr '/.-' '___')
	# LTTng's provider header is read several times and has a second condition beside the guard.
	if ! grep -qE "^#if.*\b_?${guard}\b" "$h"; then
		echo "check-headers: $h: the guard is not $guard"
		bad=1
	fi
	case $h in *provider_tp.h | l1-child/* | tests/guests/*) continue ;; esac
	# shellcheck disable=SC2086
	if ! ${CC:-gcc} ${CPPFLAGS:--I.} -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter \
		-Wno-override-init -Wno-missing-field-initializers -D_XOPEN_SOURCE_EXTENDED= \
		-fsyntax-only -include "$h" -x c /dev/null; then
		echo "check-headers: $h does not compile alone"
		bad=1
	fi
done
exit $bad
