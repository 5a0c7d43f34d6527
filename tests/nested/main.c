/* The VMX tests' main program: runs the tables of cases, in TAP. */
#include "tests/nested/vmxt.h"

static struct vmxt the_test;

/* Command line: words that select tests by a part of their name; none: all. */
static bool is_selected(const char *cmdline, const char *name)
{
	const char *p = cmdline;
	bool any = false;

	while (*p) {
		size_t n = 0;
		bool file = false;

		while (*p == ' ')
			p++;
		while (p[n] && p[n] != ' ') {
			file |= p[n] == '/' || p[n] == '.';
			n++;
		}
		if (n && !file) {
			any = true;
			for (const char *s = name; *s; s++)
				if (!strncmp(s, p, n))
					return true;
		}
		p += n;
	}
	return !any;
}

void child_main(u64 info, u64 magic)
{
	static const struct vmxt_case *const tables[] = {
		vmxt_insn_cases,   vmxt_entry_cases, vmxt_exit_cases, vmxt_event_cases,
		vmxt_state_cases,  vmxt_ept_cases,   vmxt_mode_cases, vmxt_feature_cases,
		vmxt_subtle_cases, vmxt_apic_cases,  vmxt_hot_cases};
	u32 cases = 0, count[VMXT_RESULTS] = {0};
	struct boot_info boot;
	const char *why;

	vmxt_begin(&the_test, &boot, info, magic);
	for (u32 i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct vmxt_case *c = tables[i]; c->name; c++) {
			enum vmxt_result r;

			if (!is_selected(boot.cmdline, c->name))
				continue;
			r = vmxt_run_case(&the_test, c, &why);
			count[r]++;
			con_printf("%sok %u - %s%s%s\n", r == VMXT_FAILED ? "not " : "", ++cases,
				   c->name, r == VMXT_SKIPPED ? " # SKIP " : "",
				   r == VMXT_SKIPPED ? why : "");
		}
	con_printf("1..%u\n# %u tests, %u failed, %u skipped\n", cases, cases, count[VMXT_FAILED],
		   count[VMXT_SKIPPED]);
	con_exit(count[VMXT_FAILED] ? 1 : 0);
}
