#include "l0/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local void (*context_print)(void *arg);
static _Thread_local void *context_arg;

void assert_set_context_printer(void (*print)(void *arg), void *arg)
{
	context_print = print;
	context_arg = arg;
}

_Noreturn void assert_failed(const char *expr, const char *file, int line, const char *func)
{
	void (*print)(void *arg) = context_print;

	fflush(stdout);
	fprintf(stderr, "nestor: internal error: %s at %s:%d in %s\n", expr, file, line, func);
	context_print = NULL;
	if (print)
		print(context_arg);
	fflush(stderr);
	abort();
}
