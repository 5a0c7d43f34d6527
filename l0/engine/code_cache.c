/*
 * The memory of the operation cache. It is filled in parts in turn; the oldest blocks make room for
 * new ones.
 * What points to a block: its bucket, operations that are chained to it, and the tier. Chains
 * between blocks of one part end with it; of those from other parts each part has a list, which is
 * short, since only blocks of one page are chained.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "l0/engine/block.h"
#include "l0/engine/exec.h"

#define PART_BYTES_MIN (4 * BLOCK_MAX_BYTES)

void code_cache_destroy(struct code_cache *c)
{
	if (!c)
		return;
	if (c->arena != MAP_FAILED)
		munmap(c->arena, c->bytes);
	free(c->start);
	free(c);
}

struct code_cache *code_cache_create(u64 bytes)
{
	struct code_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->bytes = MAX(bytes, 4 * PART_BYTES_MIN);
	c->n_parts = (u32)MIN(c->bytes / PART_BYTES_MIN, (u64)CODE_PARTS);
	c->part_bytes = c->bytes / c->n_parts & ~63ull;
	c->arena = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	c->start = malloc(BLOCK_MAX_BYTES);
	if (c->arena == MAP_FAILED || !c->start) {
		code_cache_destroy(c);
		return NULL;
	}
	return c;
}

/* Blocks are gone that these may be of. */
static void forget_place(struct vp *vp)
{
	vp->code->epoch++;
	vp->link_from = NULL;
	vp->cur_block = &block_unlinked;
}

void code_cache_flush(struct vp *vp)
{
	struct code_cache *c = vp->code;

	nm_zero(c->bucket, sizeof(c->bucket));
	for (u32 i = 0; i < c->n_parts; i++)
		c->part[i].used = c->part[i].n_from = 0;
	c->now = 0;
	forget_place(vp);
	if (vp->tier)
		vp->tier->cache_flushed(vp);
}

static u32 part_of(const struct code_cache *c, const void *p)
{
	return (u32)((u64)((const u8 *)p - c->arena) / c->part_bytes);
}

void code_cache_link(struct code_cache *c, struct op *from, struct block *to)
{
	if (from->link[0] == to) /* as after a store beside it */
		return;

	u32 p = part_of(c, to);
	struct code_part *part = &c->part[p];

	if (part_of(c, from) != p &&
	    (from->link[0] == &block_unlinked || part_of(c, from->link[0]) != p)) {
		if (part->n_from == CODE_LINKS)
			return;
		part->from[part->n_from++] = from;
	}
	from->link[0] = to;
}

static void forget_block(struct vp *vp, struct block *b)
{
	struct block **at = &vp->code->bucket[block_hash(b->hva)];

	while (*at && *at != b)
		at = &(*at)->next;
	if (*at)
		*at = b->next;
	if (b->own)
		vp->tier->block_gone(vp, b);
	vp->n_blocks_retired++;
}

/* No chain goes to part @p, and none comes from it. */
static void cut_links(struct code_cache *c, u32 p)
{
	for (u32 i = 0; i < c->part[p].n_from; i++) {
		struct op *op = c->part[p].from[i];

		if (op->link[0] != &block_unlinked && part_of(c, op->link[0]) == p)
			op->link[0] = &block_unlinked;
	}
	c->part[p].n_from = 0;
	for (u32 q = 0; q < c->n_parts; q++) {
		struct code_part *part = &c->part[q];
		u32 kept = 0;

		for (u32 i = 0; i < part->n_from; i++)
			if (part_of(c, part->from[i]) != p)
				part->from[kept++] = part->from[i];
		part->n_from = kept;
	}
}

static void retire(struct vp *vp, u32 p)
{
	struct code_cache *c = vp->code;
	u8 *at = c->arena + p * c->part_bytes, *end = at + c->part[p].used;

	for (; at < end; at += block_bytes((struct block *)at))
		forget_block(vp, (struct block *)at);
	cut_links(c, p);
	c->part[p].used = 0;
	forget_place(vp);
}

struct block *code_cache_room(struct vp *vp)
{
	struct code_cache *c = vp->code;

	if (c->part[c->now].used + BLOCK_MAX_BYTES > c->part_bytes) {
		c->now = (c->now + 1) % c->n_parts;
		if (c->part[c->now].used)
			retire(vp, c->now);
	}
	return (struct block *)(c->arena + c->now * c->part_bytes + c->part[c->now].used);
}

void code_cache_take(struct code_cache *c, const struct block *b)
{
	c->part[c->now].used += block_bytes(b);
}
