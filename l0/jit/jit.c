#include "l0/jit/jit_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l0/base/mem_ops.h"
#include "l0/engine/exec.h"

#define ARENA_BYTES_DEFAULT (32u * 1024 * 1024)
#define HEAT_DEFAULT 30u

#if ENGINE_SIBLING_CALLS
/*
 * Translated code uses the registers that the calling convention keeps, and enters handlers, which
 * keep them: they are saved once, where the run loop enters a block. Leaving by the engine's long
 * jump is fine: it restores the stack and expects no register.
 */
void jit_enter(struct vp *vp, const struct op *op);
__asm__(".pushsection .text\n"
	".globl jit_enter\n"
	".type jit_enter, @function\n"
	"jit_enter:\n"
	"\tpushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n"
	"\tsubq $8, %rsp\n"
	"\tcall *(%rsi)\n"
	"\taddq $8, %rsp\n"
	"\tpopq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n"
	"\tret\n"
	".size jit_enter, .-jit_enter\n"
	".popsection");
_Static_assert(__builtin_offsetof(struct op, fn) == 0, "jit_enter calls through the first member");
#else
static void jit_enter(struct vp *vp, const struct op *op)
{
	op->fn(vp, op);
}
#endif

/* First operation of a block that may become hot. */
static void count_entry(struct vp *vp, const struct op *op)
{
	struct block *b = vp->cur_block;

	if (unlikely(!--b->heat)) {
		switch (jit_translate(vp, b)) {
		case JIT_DONE: break;
		case JIT_NEVER: b->ops[0].fn = b->first; break;
		case JIT_FULL:
			/* Everything is dropped before the next block is looked up. */
			b->heat = 1;
			vp->code->drop = true;
			vp->cpu.rip = b->rip;
			LEAVE(vp);
		}
		RUN_OP(vp, op);
	}
	return b->first(vp, op);
}

static void block_made(struct vp *vp, struct block *b)
{
	struct jit *j = vp->tier_data;
	u32 size = b->mode & VP_MODE_SIZE;

	if (b->mode & VP_MODE_ONE || !b->hva || b->frame2 || b->ops[0].fn == op_slow)
		return;
	if (size != VP_MODE_64 && (size != VP_MODE_32 || !(b->mode & VP_MODE_FLAT) || !(b->mode & VP_MODE_CSFLAT)))
		return;
	b->first = b->ops[0].fn;
	b->heat = j->heat;
	b->ops[0].fn = count_entry;
}

static void cache_flushed(struct vp *vp)
{
	struct jit *j = vp->tier_data;

	if (j->used != JIT_CONSTANTS)
		j->reused = true;
	j->used = JIT_CONSTANTS;
	j->n_flushes++;
}

static const struct engine_tier jit_tier = {.enter = jit_enter, .block_made = block_made,
					    .cache_flushed = cache_flushed};

static int map_arena(struct jit *j)
{
	int fd = memfd_create("nestor-code", MFD_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)j->bytes) < 0)
		err = -errno;
	j->write = err ? MAP_FAILED : mmap(NULL, j->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	j->exec = err ? MAP_FAILED : mmap(NULL, j->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (!err && (j->write == MAP_FAILED || j->exec == MAP_FAILED))
		err = -errno;
	if (err && j->write != MAP_FAILED)
		munmap(j->write, j->bytes);
	close(fd);
	return err;
}

int jit_attach(struct vp *vp, const struct jit_config *cfg)
{
	struct jit *j;
	int err;

	if (!ENGINE_SIBLING_CALLS)
		return -ENOTSUP;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->bytes = cfg->arena_bytes ? ALIGN_UP(cfg->arena_bytes, (u64)PAGE_SIZE) : ARENA_BYTES_DEFAULT;
	j->bytes = MAX(j->bytes, (u64)2 * JIT_BLOCK_MAX_BYTES);
	j->heat = cfg->heat ? cfg->heat : HEAT_DEFAULT;
	j->off = cfg->off;
	err = map_arena(j);
	if (err) {
		free(j);
		return err;
	}
	nm_store64(j->write, SOFTTLB_HASH);
	j->used = JIT_CONSTANTS;
	code_cache_flush(vp);
	vp->tier_data = j;
	vp->tier = &jit_tier;
	return 0;
}

void jit_detach(struct vp *vp)
{
	struct jit *j = vp->tier_data;

	if (!j)
		return;
	code_cache_flush(vp);
	vp->tier = NULL;
	vp->tier_data = NULL;
	munmap(j->write, j->bytes);
	munmap(j->exec, j->bytes);
	free(j);
}

/* Is @word the first @n characters of @list? (No libc: see check-vec.) */
static bool is_word(const char *list, size_t n, const char *word)
{
	size_t i = 0;

	while (i < n && word[i] && word[i] == list[i])
		i++;
	return i == n && !word[i];
}

const char *jit_parse_groups(const char *list, u32 *off)
{
	static const char *const names[] = {
#define GROUP(id, name, text) name,
#include "l0/jit/jit_groups.def"
#undef GROUP
	};

	*off = 0;
	while (*list) {
		size_t n = 0;
		u32 i = 0;

		while (list[n] && list[n] != ',')
			n++;

		while (i < JIT_GROUPS && !is_word(list, n, names[i]))
			i++;
		if (i == JIT_GROUPS)
			return list;
		*off |= 1u << i;
		list += n + (list[n] == ',');
	}
	return NULL;
}

u64 jit_translated(const struct vp *vp)
{
	const struct jit *j = vp->tier_data;

	return j ? j->n_translated : 0;
}

u64 jit_flushes(const struct vp *vp)
{
	const struct jit *j = vp->tier_data;

	return j ? j->n_flushes : 0;
}
