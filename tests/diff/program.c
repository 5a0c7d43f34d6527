#include "tests/diff/program.h"

#include <string.h>

#include "l0/arch/cpu_state.h"
#include "l0/base/hash.h"

static u32 rnd(struct program *p, u32 n)
{
	return (u32)(rng_next(p->seed) % n);
}

static void put(struct program *p, u64 v, u32 bytes)
{
	for (u32 i = 0; i < bytes; i++)
		p->code[p->len++] = (u8)(v >> 8 * i);
}

/* Registers that hold no address: RBX, RBP, RSP, RSI, RDI do, and RCX counts. */
static u32 value_reg(struct program *p)
{
	static const u8 r[] = {0, 2, 8, 9, 10, 11, 12, 13, 14, 15};

	return r[rnd(p, p->code64 ? ARRAY_SIZE(r) : 2)];
}

/* Prefixes, opcode and ModRM for register @reg and a register or memory operand. */
static void operation(struct program *p, u32 opc, u32 reg, bool mem, bool wide)
{
	static const u8 bases[] = {3, 5, 6, 7};
	u32 rm = mem ? bases[rnd(p, 4)] : value_reg(p);
	bool w = wide && p->code64 && rnd(p, 2);

	if (wide && rnd(p, 8) == 0)
		put(p, 0x66, 1);
	if (p->code64 && (w || reg > 7 || rm > 7 || rnd(p, 4) == 0))
		put(p, 0x40 | w << 3 | (reg > 7) << 2 | (rm > 7), 1);
	if (opc > 0xff)
		put(p, opc >> 8, 1);
	put(p, opc & 0xff, 1);
	if (!mem) {
		put(p, 0xc0 | (reg & 7) << 3 | (rm & 7), 1);
	} else if (rnd(p, 3)) {
		put(p, 0x40 | (reg & 7) << 3 | rm, 1);
		put(p, rnd(p, 256), 1);
	} else { /* index RCX */
		put(p, 0x44 | (reg & 7) << 3, 1);
		put(p, rnd(p, 4) << 6 | 1 << 3 | rm, 1);
		put(p, rnd(p, 256), 1);
	}
}

static void immediate_op(struct program *p)
{
	u32 at = p->len;

	operation(p, 0x81, rnd(p, 8), rnd(p, 3) == 0, true);
	bool half = p->code[at] == 0x66;
	put(p, rng_next(p->seed), half && !(p->code64 && (p->code[at + 1] & 0xf8) == 0x48) ? 2 : 4);
	p->immediates[p->n_immediates++] = p->len - 1 - rnd(p, 2);
}

static void branch_to(struct program *p, u32 opc, u32 target)
{
	put(p, opc, opc > 0xff ? 2 : 1);
	put(p, target - (p->len + 4), 4);
}

/* Backward branches end: each counts RCX down. */
static void random_branch(struct program *p)
{
	u32 t = p->starts[p->n > 1 ? p->n - 1 - rnd(p, MIN(p->n - 1, 12u)) : 0];

	switch (rnd(p, 4)) {
	case 0: /* forward over a few bytes of harmless operations */
		put(p, 0x70 | rnd(p, 16), 1);
		put(p, 6, 1);
		put(p, 0x01c883, 3); /* or eax, 1 */
		put(p, 0x07f283, 3); /* xor edx, 7 */
		break;
	case 1:
		if (p->code64)
			put(p, 0x48, 1);
		put(p, 0x01e983, 3); /* sub ecx, 1; ja back */
		branch_to(p, 0x870f, t);
		break;
	default:
		put(p, 0x8d, 1); /* lea ecx, [rcx - 1]; jecxz out; jcc back */
		put(p, 0xff49, 2);
		put(p, 0xe3, 1);
		put(p, 6, 1);
		branch_to(p, 0x800f | rnd(p, 16) << 8, t);
	}
}

static void store_into_code(struct program *p)
{
	u32 at = p->starts[rnd(p, p->n)] & 0xfff;

	if (p->n_immediates && rnd(p, 4)) { /* mov [code + at], al or dl */
		put(p, rnd(p, 2) ? 0x250488 : 0x251488, 3);
		put(p, (u32)PROGRAM_CODE + p->immediates[rnd(p, p->n_immediates)], 4);
		return;
	}
	/* mov byte [code + at], prefix-like NOP: 90 */
	put(p, 0x2504c6, 3);
	put(p, (u32)p->code_writable + at, 4);
	put(p, 0x90, 1);
}

/* Calls of what is just behind, whose returns match, or do not: as a retpoline, never, to 0. */
static void random_call(struct program *p)
{
	u32 over;

	if (p->code64 && rnd(p, 2)) {
		put(p, 0x52, 1); /* push rdx; lea rax, [f]; call rax */
		put(p, 0x058d48, 3);
		put(p, 4, 4);
		put(p, 0xd0ff, 2);
	} else {
		put(p, 0xe8, 1); /* call f */
		put(p, 2, 4);
	}
	put(p, 0xeb, 1); /* jmp over */
	over = p->len++;
	put(p, 0x07f283, 3); /* f: xor edx, 7 */
	switch (rnd(p, 12)) {
	case 0:
	case 1: /* call g; g: add dword [rsp], 5; ret */
		put(p, 0xe8, 1);
		put(p, 0, 4);
		put(p, 0x05240483, 4);
		put(p, 0xc3, 1);
		break;
	case 2:
		put(p, 0x58, 1);
		put(p, 0x50, 1);
		break; /* pop, push */
	case 3:	       /* lea rsp, [rsp + 8]: never returns */
		if (p->code64)
			put(p, 0x48, 1);
		put(p, p->code64 ? 0x0824648d : 0x0424648d, 4);
		p->code[over] = (u8)(p->len - over - 1);
		return;
	case 4: /* push 0 */
		if (rnd(p, 8) == 0)
			put(p, 0x006a, 2);
		break;
	default: break;
	}
	if (rnd(p, 6))
		put(p, 0xc3, 1);
	else
		put(p, 0x0010c2, 3); /* ret 16 */
	p->code[over] = (u8)(p->len - over - 1);
}

/* ---- the groups that have a file each ---- */

/* Products, and quotients of what mostly fits. */
static void multiply(struct program *p)
{
	u32 digit = 4 + rnd(p, 4);

	if (rnd(p, 4) && p->code64 && digit >= 6)
		put(p, 0x48, 1);
	if (rnd(p, 8) && digit >= 6)
		/* xor edx, edx; cdq or cqo */
		put(p, digit == 6 ? 0xd231 : 0x99, digit == 6 ? 2 : 1);
	operation(p, rnd(p, 5) ? 0xf7 : 0xf6, digit, rnd(p, 2), true);
}

/* VEX of three bytes, and a register or memory operand. */
static void vex(struct program *p, u32 pp, u32 map, u32 opc, u32 reg, u32 v)
{
	static const u8 bases[] = {3, 5, 6, 7};
	bool mem = rnd(p, 2), w = p->code64 && rnd(p, 2);
	u32 rm = mem ? bases[rnd(p, 4)] : value_reg(p);

	put(p, 0xc4, 1);
	put(p, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map, 1);
	put(p, w << 7 | (~v & 15) << 3 | pp, 1);
	put(p, opc, 1);
	put(p, (mem ? 0x40u : 0xc0u) | (reg & 7) << 3 | (rm & 7), 1);
	if (mem)
		put(p, rnd(p, 256), 1);
}

static void vex_insn(struct program *p)
{
	u32 r = value_reg(p), v = value_reg(p);

	switch (rnd(p, 12)) {
	case 0: vex(p, 0, 2, 0xf2, r, v); break; /* andn */
	case 1: vex(p, 0, 2, 0xf7, r, v); break; /* bextr */
	case 2: vex(p, 0, 2, 0xf5, r, v); break; /* bzhi */
	case 3:
	case 4: vex(p, 0, 2, 0xf3, 1 + rnd(p, 3), v); break; /* blsr, blsmsk, blsi */
	case 5: vex(p, 2 + rnd(p, 2), 2, 0xf5, r, v); break; /* pext, pdep */
	case 6:
	case 7: vex(p, 1 + rnd(p, 3), 2, 0xf7, r, v); break; /* shlx, sarx, shrx */
	case 8: vex(p, 3, 2, 0xf6, r, v); break;	     /* mulx */
	case 9:
	case 10:
		vex(p, 3, 3, 0xf0, r, 0);
		put(p, rnd(p, 256), 1);
		break; /* rorx */
	default:
		if (p->code64)
			put(p, 0x48 | rnd(p, 2), 1);
		put(p, 0xc80f | (rnd(p, 2) ? 0x200 : 0), 2); /* bswap */
	}
}

static void bit_insn(struct program *p)
{
	bool mem = rnd(p, 2);

	switch (rnd(p, 8)) {
	case 0: /* by register: RCX is small */
		operation(p, 0x0fa3 + 8 * rnd(p, 4), mem ? RCX : value_reg(p), mem, true);
		break;
	case 1:
	case 2:
		operation(p, 0x0fba, 4 + rnd(p, 4), mem, true);
		put(p, rnd(p, 256), 1);
		break;
	case 3: operation(p, 0x0fbc + rnd(p, 2), value_reg(p), mem, true); break;
	case 4:
	case 5: /* tzcnt, lzcnt, popcnt */
		put(p, 0xf3, 1);
		operation(p, rnd(p, 3) ? 0x0fbc + rnd(p, 2) : 0x0fb8, value_reg(p), mem, true);
		break;
	case 6:
		operation(p, rnd(p, 2) ? 0x0fa4 : 0x0fac, value_reg(p), mem, true);
		put(p, rnd(p, 256), 1);
		break;
	default: operation(p, rnd(p, 2) ? 0x0fa5 : 0x0fad, value_reg(p), mem, true);
	}
}

static void atomic_insn(struct program *p)
{
	u32 r = value_reg(p), how = rnd(p, 12);

	if (how > 1 && rnd(p, 2))
		put(p, 0xf0, 1);
	switch (how) {
	case 0: operation(p, 0x86 + rnd(p, 2), p->code64 ? r : 0, true, false); break;
	case 1: operation(p, 0x87, r, true, true); break;
	case 2:
	case 3: operation(p, 0x0fc1, r, true, true); break;
	case 4:
	case 5: operation(p, 0x0fb1, r, true, true); break;
	case 6: operation(p, 0x0fc7, 1, true, false); break;
	case 7: operation(p, 0xff, rnd(p, 2), true, true); break;
	case 8: operation(p, 0xf7, 2 + rnd(p, 2), true, true); break;
	case 9:
		operation(p, 0x0fba, 5 + rnd(p, 3), true, true);
		put(p, rnd(p, 256), 1);
		break;
	case 10: operation(p, 0x0fab + 8 * rnd(p, 3), RCX, true, true); break;
	default: operation(p, rnd(p, 7) * 8 + 1, r, true, true);
	}
}

/* x87 and MMX; a control word from memory may unmask exceptions. */
static void x87_insn(struct program *p)
{
	static const u32 forms[] = {0xe8d9, 0xeed9, 0xebd9, 0xc1d8, 0xc9de,   0xe1d8,
				    0xf1d8, 0xc9d9, 0xc2d9, 0xe0d9, 0xe4d9,   0xfad9,
				    0xd9dd, 0xf6d9, 0xf7d9, 0xe1db, 0xf1db,   0xc1da,
				    0xd1db, 0xe0df, 0xe2db, 0x009b, 0xc96f0f, 0xcafe0f};

	switch (rnd(p, 12)) {
	case 0:
	case 1: operation(p, 0xd8 + rnd(p, 8), rnd(p, 3) ? 0 : 3, true, false); break;
	case 2: operation(p, 0xd8 + 2 * rnd(p, 4), rnd(p, 8), true, false); break;
	case 3:
		operation(p, 0xd9, rnd(p, 8) ? 7 : 5, true, false);
		break; /* fnstcw, fldcw */
	/* movd */
	case 4: operation(p, rnd(p, 2) ? 0x0f6e : 0x0f7e, rnd(p, 8), rnd(p, 2), false); break;
	/* movq */
	case 5: operation(p, rnd(p, 2) ? 0x0f6f : 0x0f7f, rnd(p, 8), true, false); break;
	case 6: put(p, 0x770f, 2); break; /* emms */
	default: {
		u32 f = forms[rnd(p, ARRAY_SIZE(forms))];

		put(p, f, f > 0xffff ? 3 : f == 0x9b ? 1 : 2);
	}
	}
}

/* AH and DH: no REX, whatever the other operand. */
static void high_insn(struct program *p)
{
	static const u8 opcodes[] = {0x88, 0x8a, 0x84, 0x00, 0x28, 0x32, 0x3a, 0x12, 0x18, 0x0a};
	static const u8 regs[] = {0, 2, 4, 6};
	u32 high = 4 + 2 * rnd(p, 2), other = regs[rnd(p, 4)];

	switch (rnd(p, 6)) {
	case 0:
		put(p, opcodes[rnd(p, 10)], 1);
		put(p, 0xc0 | other << 3 | high, 1);
		break;
	case 1:
		put(p, opcodes[rnd(p, 10)], 1);
		put(p, 0xc0 | high << 3 | other, 1);
		break;
	case 2:
		put(p, opcodes[rnd(p, 10)], 1);
		put(p, 0x46 | high << 3, 1);
		put(p, rnd(p, 256), 1);
		break;
	case 3:
		put(p, 0x80, 1);
		put(p, 0xc0 | rnd(p, 8) << 3 | high, 1);
		put(p, rnd(p, 256), 1);
		break;
	case 4:
		put(p, 0xf6, 1);
		put(p, 0xc0 | high, 1);
		put(p, rnd(p, 256), 1);
		break;
	default:
		switch (rnd(p, 4)) {
		case 0:
			put(p, rnd(p, 2) ? 0xb60f : 0xbe0f, 2);
			put(p, 0xc0 | (other & 2) << 3 | high, 1);
			break;
		case 1:
			put(p, 0xfe, 1);
			put(p, 0xc0 | rnd(p, 2) << 3 | high, 1);
			break;
		case 2:
			put(p, 0xf6, 1);
			put(p, 0xd0 | rnd(p, 2) << 3 | high, 1);
			break;
		default: put(p, 0x900f | rnd(p, 16) << 8, 2); put(p, 0xc0 | high, 1);
		}
	}
}

static void flag_insn(struct program *p)
{
	static const u8 opcodes[] = {0xf8, 0xf9, 0xf5, 0x9f, 0x9e, 0xfc, 0xfd};

	if (rnd(p, 3) == 0) {
		put(p, 0x589c, 2); /* pushf, pop */
		return;
	}
	put(p, opcodes[rnd(p, 7)], 1);
}

/* MOVS, STOS, LODS, SCAS, CMPS, mostly repeated, of some bytes. */
static void string_insn(struct program *p)
{
	static const u8 opcodes[] = {0xa4, 0xa4, 0xa4, 0xaa, 0xaa, 0xac, 0xae, 0xa6};

	if (rnd(p, 2)) { /* mov ecx, … */
		put(p, 0xb9, 1);
		put(p, rnd(p, rnd(p, 2) ? 90 : 10), 4);
	}
	if (rnd(p, 8))
		put(p, rnd(p, 4) ? 0xf3 : 0xf2, 1);
	if (rnd(p, 4) == 0)
		put(p, p->code64 ? 0x48 : 0x66, 1);
	put(p, opcodes[rnd(p, 8)] + rnd(p, 2), 1);
}

static void random_insn(struct program *p)
{
	u32 r = value_reg(p);

	switch (rnd(p, 45)) {
	case 40:
	case 41: high_insn(p); break;
	case 42: flag_insn(p); break;
	case 43: string_insn(p); break;
	case 37:
	case 38: x87_insn(p); break;
	case 27:
	case 28: multiply(p); break;
	case 29: vex_insn(p); break;
	case 30:
	case 31:
	case 32: bit_insn(p); break;
	case 33:
	case 34: atomic_insn(p); break;
	case 0:
	case 1:
	case 2:
	case 3: operation(p, rnd(p, 8) * 8 + (rnd(p, 2) ? 1 : 3), r, rnd(p, 2), true); break;
	case 4: operation(p, rnd(p, 8) * 8 + (rnd(p, 2) ? 0 : 2), r, rnd(p, 2), false); break;
	case 5:
	case 6: operation(p, rnd(p, 2) ? 0x89 : 0x8b, r, rnd(p, 4), true); break;
	case 7: operation(p, rnd(p, 2) ? 0x88 : 0x8a, r, rnd(p, 4), false); break;
	case 8:
	case 9: immediate_op(p); break;
	case 10: operation(p, rnd(p, 2) ? 0x85 : 0x84, r, rnd(p, 2), false); break;
	case 11: operation(p, 0xff, rnd(p, 2), rnd(p, 3) == 0, true); break;
	case 12: operation(p, 0xf7, 2 + rnd(p, 2), rnd(p, 3) == 0, true); break;
	case 13: operation(p, 0xd1, rnd(p, 4) ? 4 : rnd(p, 8), rnd(p, 4) == 0, true); break;
	case 14:
	case 15: {
		static const u8 digits[] = {0, 1, 2, 3, 4, 5, 7};
		operation(p, 0xc1, digits[rnd(p, 7)], rnd(p, 4) == 0, true);
		put(p, rnd(p, 256), 1);
		break;
	}
	case 16: operation(p, 0xd3, rnd(p, 2) ? 4 : 5, rnd(p, 4) == 0, true); break;
	case 17: operation(p, 0x0fb6 + rnd(p, 2) + 8 * rnd(p, 2), r, rnd(p, 2), true); break;
	case 18: operation(p, 0x0f40 | rnd(p, 16), r, rnd(p, 2), true); break;
	case 19: operation(p, 0x0f90 | rnd(p, 16), 0, rnd(p, 2), false); break;
	case 20: operation(p, 0x8d, r, true, true); break;
	case 21:
		put(p, 0x50 | (value_reg(p) & 7), 1);
		put(p, 0x58 | (rnd(p, 2) ? 2 : 0), 1);
		break;
	case 22: put(p, 0x99 - rnd(p, 2), 1); break; /* cdq, cwde */
	case 23: operation(p, 0x87, r, false, true); break;
	case 24:
		put(p, 0xe8, 1);
		put(p, 0, 4);
		put(p, 0x58, 1);
		break; /* call next; pop */
	case 25: random_call(p); break;
	default:
		if (rnd(p, 12) == 0)
			store_into_code(p);
		else
			random_branch(p);
	}
}

void program_generate(struct program *p, bool code64, u64 *seed, u64 code_writable)
{
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->code_writable = code_writable;
	p->code64 = code64;
	memset(p->code, 0x90, sizeof(p->code));
	u32 n = 3 + rnd(p, 60);
	p->len = rnd(p, 3) ? 0x100 : 0x1000 - rnd(p, 120); /* some cross into the second page */
	for (p->n = 0; p->n < n;) {
		p->starts[p->n++] = p->len;
		random_insn(p);
	}
	put(p, 0xf4, 1);
}
