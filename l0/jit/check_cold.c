/*
 * What --engine check says when translated code and the interpreter part: where, the code, and what
 * differs with both values. The vector state is parked.
 */
#include <Zydis/Zydis.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "l0/base/mem_ops.h"
#include "l0/engine/block.h"
#include "l0/jit/check.h"

#define SHOWN_MAX 24u

struct text {
	char *s;
	u32 n, differences;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->s + t->n, CHECK_TEXT_BYTES - t->n, format, ap);
	va_end(ap);
	t->n = MIN(t->n + (u32)MAX(n, 0), CHECK_TEXT_BYTES - 1);
}

static void value(struct text *t, const char *name, u64 translated, u64 interpreted)
{
	if (translated != interpreted && t->differences++ < SHOWN_MAX)
		put(t, "  %-12s translated %#018llx  interpreted %#018llx\n", name,
		    (unsigned long long)translated, (unsigned long long)interpreted);
}

static void registers(struct text *t, const struct check_state *a, const struct check_state *b)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

	value(t, "rip", a->cpu.rip, b->cpu.rip);
	for (u32 i = 0; i < GPR_COUNT; i++)
		value(t, names[i], a->cpu.gpr[i], b->cpu.gpr[i]);
	value(t, "rflags", a->cpu.rflags, b->cpu.rflags);
	value(t, "count", a->insns, b->insns);
	value(t, "mode", a->mode, b->mode);
	value(t, "exceptions", a->n_exceptions, b->n_exceptions);
	value(t, "held events", a->ev.held, b->ev.held);
	for (u32 i = 0; i < PMU_COUNTERS; i++)
		value(t, "pmu counter", a->pmu.count[i], b->pmu.count[i]);
	value(t, "x87 ip", a->fpu_ip, b->fpu_ip);
	value(t, "x87 operand", a->fpu_dp, b->fpu_dp);
	value(t, "x87 opcode", a->fpu_op, b->fpu_op);
}

static void end(struct text *t, const struct check_state *a, const struct check_state *b)
{
	static const char *const names[] = {"goes on", "fault", "exit", "restarts",
					    "leaves to a handler"};

	if (a->how != b->how && ++t->differences)
		put(t, "  %-12s translated: %s  interpreted: %s\n", "end", names[a->how],
		    names[b->how]);
	value(t, "vector", a->vector, b->vector);
	value(t, "error code", a->error, b->error);
	value(t, "cr2", a->cr2, b->cr2);
	value(t, "exit reason", a->exit.reason, b->exit.reason);
	value(t, "exit qual.", a->exit.qualification, b->exit.qualification);
}

/* Whatever of struct cpu_state has no name above. */
static void others(struct text *t, const struct check_state *a, const struct check_state *b)
{
	const u8 *x = (const u8 *)&a->cpu, *y = (const u8 *)&b->cpu;
	char name[32];

	for (u32 i = __builtin_offsetof(struct cpu_state, cr0);
	     i < __builtin_offsetof(struct cpu_state, vec); i += 8) {
		snprintf(name, sizeof(name), "cpu+%#x", i);
		value(t, name, nm_load64(x + i), nm_load64(y + i));
	}
	if (check_same_vec(a->cpu.vec, b->cpu.vec))
		return;
	for (u32 i = 0; i < VEC_AREA_BYTES; i += 8) {
		bool high = i >= XSAVE_AVX_OFFSET && i < XSAVE_AVX_OFFSET + XSAVE_AVX_BYTES;

		if (i >= 160 && i < 416)
			snprintf(name, sizeof(name), "xmm%u+%u", (i - 160) / 16, i % 16);
		else if (high)
			snprintf(name, sizeof(name), "ymm%u+%u", (i - XSAVE_AVX_OFFSET) / 16,
				 16 + i % 16);
		else
			snprintf(name, sizeof(name), "fxsave+%u", i);
		if (i < 416 || high)
			value(t, name, nm_load64(a->cpu.vec + i), nm_load64(b->cpu.vec + i));
	}
}

static void memory(struct text *t, const struct vp *vp, const struct check *c)
{
	u8 want;
	const u8 *p = check_memory(c, &want);
	const struct mem_map *map = mem_map(vp->mem);
	u64 at;

	if (!p)
		return;
	at = (u64)(p - map->base);
	if (at >= map->low_bytes)
		at += MEM_HOLE_END - map->low_bytes;
	t->differences++;
	put(t, "  memory at physical %#llx: translated %02x  interpreted %02x (the first byte)\n",
	    (unsigned long long)at, want, *p);
}

static void code(struct text *t, const struct block *b)
{
	static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
						 ZYDIS_MACHINE_MODE_LEGACY_32,
						 ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
						 ZYDIS_STACK_WIDTH_64};
	ZydisDecoder d;
	ZydisFormatter f;
	ZydisDecodedInstruction in;
	ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
	char s[96];

	ZydisDecoderInit(&d, modes[b->mode & VP_MODE_SIZE], widths[b->mode & VP_MODE_SIZE]);
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	for (u32 i = 0, n; i < b->bytes; i += n) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, b->code + i, b->bytes - i, &in, o)))
			break;
		n = in.length;
		put(t, "  %16llx ", (unsigned long long)(b->rip + i));
		for (u32 k = 0; k < 11; k++)
			put(t, k < n ? " %02x" : "   ", b->code[i + MIN(k, n - 1)]);
		ZydisFormatterFormatInstruction(&f, &in, o, in.operand_count_visible, s, sizeof(s),
						b->rip + i, NULL);
		put(t, "  %s\n", s);
	}
}

void check_describe(struct vp *vp, struct check *c)
{
	struct text t = {.s = c->text};
	const struct check_state *a = &c->translated, *b = &c->interpreted;

	vp_vec_park(vp);
	end(&t, a, b);
	registers(&t, a, b);
	others(&t, a, b);
	memory(&t, vp, c);
	put(&t, "  after %llu instructions from rip %#llx, level %u\n",
	    (unsigned long long)(b->insns - c->start.insns), (unsigned long long)c->start.cpu.rip,
	    vp->in_l2 ? 2 : 1);
	if (c->last && c->last_epoch == vp->code->epoch)
		code(&t, c->last);
}
