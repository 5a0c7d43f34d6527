/*
 * The symbol files of a machine (--symbols): loading, the names of its addresses, and the list that
 * a recording leaves for its readers. See machine.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "l0/engine/vp.h"
#include "l0/host.h"
#include "l0/machine.h"

int machine_load_symbols(struct machine *m)
{
	char why[640];

	for (u32 i = 0; i < m->desc->nsymbols; i++) {
		int err = symbols_load(m->desc->symbols[i], &m->symbols[i], why, sizeof(why));

		if (err) {
			fprintf(stderr, "nestor: %s: %s: %s\n", m->desc->name,
				m->desc->symbols_at[i], why);
			return err;
		}
	}
	return 0;
}

void machine_free_symbols(struct machine *m)
{
	for (u32 i = 0; i < m->desc->nsymbols; i++)
		symbols_free(m->symbols[i]);
}

/* A kernel's place is known once it has set up SYSCALL. */
static void find_slides(struct machine *m)
{
	for (u32 v = 0; m->vcpu && v < m->nvcpus; v++)
		for (u32 i = 0; i < m->desc->nsymbols && !m->vcpu[v].vp.in_l2; i++)
			if (m->symbols[i])
				symbols_find_slide(m->symbols[i], m->vcpu[v].vp.cpu.lstar);
}

const char *machine_symbol(struct machine *m, u64 address, char *buf)
{
	const char *name = NULL;

	find_slides(m);
	for (u32 i = 0; i < m->desc->nsymbols && !name; i++)
		name = m->symbols[i] ? symbols_name(m->symbols[i], address, buf) : NULL;
	return name;
}

void machine_list_symbols(struct machine *m, FILE *out)
{
	char path[PATH_MAX];

	find_slides(m);
	for (u32 i = 0; i < m->desc->nsymbols; i++)
		if (m->symbols[i] && realpath(symbols_path(m->symbols[i]), path))
			fprintf(out, "%s\t%#llx\t%s\n", m->desc->name,
				(unsigned long long)symbols_slide(m->symbols[i]), path);
}
