/* The program: everything is in the subcommands. */
#include <signal.h>

#include "l0/cmd/cmd.h"

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, not a sudden end */
	return cmd_dispatch(argc, argv);
}
