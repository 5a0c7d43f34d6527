# Sourced by the tests here: is a model right, exhaustively, with x86 store buffers, and no longer so when
# any one of its rules is broken?
set -u
cd "$(dirname "$0")" || exit 2
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
bad=0

# errors OPTIONS MODEL [-D...]: "0" or "1", or "?" when it did not run to its end
errors() {
	local options=$1 model=$2
	shift 2
	(
		cd "$dir" && rm -f pan* &&
			spin "$@" -a "$OLDPWD/$model.pml" >spin.log 2>&1 &&
			${CC:-gcc} -w -DSAFETY $options -DMEMLIM=4000 -o pan pan.c &&
			./pan -m500000 >pan.log 2>&1 && ! grep -q 'max search depth too small' pan.log &&
			sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	) || echo '?'
}

holds() {
	local got
	got=$(errors "-O1 -DCOLLAPSE" "$@")
	[ "$got" = 0 ] && echo "holds:  $*, $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p; s/^pan: elapsed time \(.*\) seconds/in \1 s/p' "$dir/pan.log" |
		tr '\n' ' ')" && return
	echo "FAILED: $* should hold: errors $got"
	bad=1
}

# Every BREAK_ rule that the model knows must be found out. (The other order of search finds them sooner.)
breaks() {
	local rule got
	for rule in $(grep -o 'BREAK_[A-Z_]*' "$1.pml" | sort -u); do
		[ "$rule" = BREAK_ ] && continue
		got=$(errors "-O0 -DREVERSE -DT_REVERSE" "$1" "-D$rule")
		[ "$got" = 1 ] && echo "caught: $1 $rule" && continue
		echo "FAILED: $1 $rule should be found out: errors $got"
		bad=1
	done
}

# all MODEL…: each in its small configuration, and without each of its rules
all() {
	local model
	for model; do
		holds "$model"
		breaks "$model"
	done
}
