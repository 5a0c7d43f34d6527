#!/bin/sh
# Names the C files that clang-format would change; says so and passes where it is not installed.
command -v clang-format >/dev/null 2>&1 || {
	echo "check-format: clang-format is not installed"
	exit 0
}
bad=0
for f in $(git ls-files '*.c' '*.h'); do
	clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || {
		echo "check-format: $f"
		bad=1
	}
done
exit $bad
