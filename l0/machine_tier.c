/*
 * The engine's tier of a machine's processors: which one, and what is said when there is none.
 */
#include <errno.h>
#include <string.h>

#include "l0/base/log.h"
#include "l0/host.h"
#include "l0/jit/jit.h"
#include "l0/machine.h"
#include "l0/symbols/symbols.h"

#define CHECK_HEAT 2u /* --engine check: nearly everything is translated */

/* --engine check found a difference. */
static void engines_differ(struct vp *vp, u64 rip, const char *text)
{
	struct vcpu *c = container_of(vp, struct vcpu, vp);
	struct machine *m = c->machine;
	char name[SYMBOLS_NAME_BYTES];
	const char *symbol = vp->in_l2 ? NULL : machine_symbol(m, rip, name);

	fprintf(stderr,
		"nestor: %s: translated code and the interpreter differ in the block at "
		"%#llx%s%s%s:\n%s",
		m->desc->name, (unsigned long long)rip, symbol ? " (" : "", symbol ? symbol : "",
		symbol ? ")" : "", text);
	machine_stop(m, STOP_ERROR, 0);
}

int machine_attach_tier(const struct machine *m, struct vp *vp)
{
	enum run_engine engine = m->host->opts->engine;
	struct jit_config cfg = {.heat = m->host->opts->jit_heat,
				 .off = m->host->opts->jit_off,
				 .arena_bytes = m->host->opts->jit_memory,
				 .with = vp == &m->vcpu[0].vp ? NULL : &m->vcpu[0].vp};

	if (engine == RUN_ENGINE_CHECK) {
		cfg.differs = engines_differ;
		if (!cfg.heat)
			cfg.heat = CHECK_HEAT;
	}
	int err = engine == RUN_ENGINE_INTERP ? 0 : jit_attach(vp, &cfg);

	if (err == -ENOTSUP && engine == RUN_ENGINE_JIT) { /* ThreadSanitizer: tests ask for both */
		log_once(LOG_ENGINE, "this build has no translator: guests are interpreted");
		return 0;
	}
	if (!err || engine >= RUN_ENGINE_JIT)
		return err;
	if (err != -ENOTSUP)
		log_once(LOG_ENGINE,
			 "no translator: the host gives no memory for code (%s); guests are "
			 "interpreted",
			 strerror(-err));
	return 0;
}

void machine_report_not_built(const struct machine *m, int err)
{
	const struct machine_desc *d = m->desc;
	bool no_tier =
		m->host->opts->engine >= RUN_ENGINE_JIT && (err == -ENOTSUP || err == -EPERM);

	if (no_tier)
		fprintf(stderr, "nestor: %s: no translator, which --engine asks for: %s\n", d->name,
			err == -ENOTSUP ? "this build has none"
					: "the host gives no memory for code; see 'nestor doctor'");
	else
		fprintf(stderr,
			"nestor: %s: cannot build the machine (memory %llu MiB, %u processors): "
			"%s\n",
			d->name, (unsigned long long)(d->memory_bytes / MIB), d->cpus,
			strerror(-err));
}
